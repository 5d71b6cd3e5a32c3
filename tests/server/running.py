"""A real uvicorn on a loopback port, in a thread; and a client of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn

from tokenmeter.engine.keys import ApiKeys, Scope
from tokenmeter.engine.local import Engine
from tokenmeter.server.app import create_app
from tokenmeter.server.desk import Office

if TYPE_CHECKING:
    from fastapi import FastAPI

START_S_MAX = 10.0
LOOK_S = 0.005
TIMEOUT_S = 30.0


class Clock:
    """The server's time, which a test may set; None runs on."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def now(self) -> datetime:
        return self.at or datetime.now(UTC)


@dataclass
class Answer:
    status: int
    body: Any


class Client:
    """Asks the server with one key."""

    def __init__(self, origin: str, key: str | None) -> None:
        headers = {} if key is None else {"x-api-key": key}
        self.http = httpx2.Client(base_url=origin, headers=headers, timeout=TIMEOUT_S)

    def ask(self, method: str, path: str, body: object = None, **query: Any) -> Answer:
        sent: dict[str, Any] = {} if body is None else {"json": body}
        reply = self.http.request(method, f"/v1{path}", params=query, **sent)
        return Answer(reply.status_code, reply.json() if reply.content else None)

    def get(self, path: str, **query: Any) -> Answer:
        return self.ask("GET", path, **query)

    def post(self, path: str, body: object = None) -> Answer:
        return self.ask("POST", path, body)

    def put(self, path: str, body: object = None, **query: Any) -> Answer:
        return self.ask("PUT", path, body, **query)

    def delete(self, path: str, body: object = None) -> Answer:
        return self.ask("DELETE", path, body)

    def made(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create something, which must succeed."""
        answer = self.post(path, body)
        assert answer.status in {200, 201, 202}, answer
        return answer.body


class Server(Client):
    """A running server, asked with its admin key."""

    def __init__(self, origin: str, engine: Engine, keys: ApiKeys, clock: Clock) -> None:
        self.origin, self.engine, self.keys, self.clock = origin, engine, keys, clock
        self.clients: list[Client] = [self]
        self.key = keys.create("", [Scope.ADMIN], name="test").secret
        super().__init__(origin, self.key)

    def client(self, environment: str = "", *scopes: Scope) -> Client:
        """A client with a new key."""
        made = self.keys.create(environment, scopes or [Scope.ADMIN])
        return self.client_with(made.secret)

    def client_with(self, key: str | None) -> Client:
        """A client with this key, or with none."""
        self.clients.append(Client(self.origin, key))
        return self.clients[-1]


def listening_socket() -> socket.socket:
    """
    A bound socket for a server.

    It is of TCP by name: asyncio sends small packets at once on such only, and without that each
    answer of head and body waits 40 ms for the client's acknowledgement.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(("127.0.0.1", 0))
    return made


class PromptServer(uvicorn.Server):
    """Ends at once when it is told to: uvicorn's own looks, and waits, tenths of a second."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - its flags are no events
            await asyncio.sleep(LOOK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        await self.lifespan.shutdown()


_free: list[FastAPI] = []


@contextlib.contextmanager
def application(engine: Engine, now: Callable[[], datetime]) -> Generator[FastAPI, None, None]:
    """An application over an engine; its routes, which take the longest, are used again."""
    app = _free.pop() if _free else create_app(engine, now=now)
    app.state.office = Office(engine, now)
    yield app
    _free.append(app)


@contextlib.contextmanager
def running(url: str) -> Generator[Server, None, None]:
    """Serve a database until the end of the block."""
    clock = Clock()
    with (
        Engine(url) as engine,
        application(engine, clock.now) as app,
        listening_socket() as listening,
    ):
        config = uvicorn.Config(app, log_level="warning", lifespan="on")
        server = PromptServer(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            _await(server)
            port = listening.getsockname()[1]
            keys = ApiKeys(engine.store, clock.now)
            started = Server(f"http://127.0.0.1:{port}", engine, keys, clock)
            try:
                yield started
            finally:
                for client in started.clients:
                    client.http.close()
        finally:
            server.should_exit = True
            thread.join(START_S_MAX)


def _await(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + START_S_MAX
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(LOOK_S)
