"""Wallets that a server keeps: held, settled and given back over its API, by real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.upstream import answering
from tests.asgi.workers import free_ports, listens
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import App
from tokenmeter.enforcement import Enforcement
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.engine.local import Engine
from tokenmeter.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
KEY = "tm_key_of_the_gateway"
JSON = {"content-type": "application/json"}
ASKED = json.dumps({"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}).encode()
IMAGE = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}]}).encode()
MADE = answering(200, JSON, [IMAGE])
PATIENT = Enforcement(timeout_s=30)  # where the server is to answer, however busy it is
TOGETHER_S_MAX = 60.0  # of a hundred callers; one after the other they would wait 200 s
SHUT_S_MAX = 4.0  # of one that is told 1 s, on a machine that does many other things, too
BEATS_MIN = 10  # of an event loop that is free while callers wait 2 s


@dataclass
class Serving:
    """A `tokenmeter serve` process over a database with one funded customer."""

    database: str
    port: int
    home: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def backend(self) -> str:
        return f"flexprice+http://{KEY}@127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        run = "from tokenmeter.cli import main; main()"
        command = [sys.executable, "-c", run, "serve", "--db", self.database]
        environment = {
            **os.environ,
            "TOKENMETER_API_KEY": KEY,
            "TOKENMETER_HOME": str(self.home),
        }
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)], env=environment, cwd=ROOT
        )
        listens(self.port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(30)

    def hang(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def available(self) -> Decimal:
        with Engine(self.database) as engine:
            return engine.wallets.available("acme")


@pytest.fixture
def serving(tmp_path: Path) -> Generator[Serving]:
    database = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(database, "acme", credit="2").close()
    made = Serving(database, free_ports(1)[0], tmp_path / "server")
    try:
        made.start()
        yield made
    finally:
        made.kill()


class Gateway:
    """A middleware whose engine is elsewhere."""

    def __init__(self, meter: TokenMeter, app: App = MADE, terms: Enforcement = PATIENT) -> None:
        self.meter = meter
        self.app = TokenMeterMiddleware(
            app,
            customer=lambda request: request.headers.get("x-who", "acme"),
            meter=meter,
            enforce="wallet",
            enforcement=terms,
        )

    async def ask(self, who: str = "acme") -> Answered:
        return await ask(self.app, scope_of("POST", IMAGE_PATH, [("x-who", who)]), ASKED)


@pytest.fixture
def meter(serving: Serving, tmp_path: Path) -> Iterator[TokenMeter]:
    made = TokenMeter(serving.backend, state_dir=tmp_path / "gateway")
    yield made
    made.shutdown(1)


async def test_exactly_what_the_servers_wallet_pays_for_is_made(
    serving: Serving, meter: TokenMeter
) -> None:
    gateway = Gateway(meter)
    answers = await asyncio.gather(*(gateway.ask() for _ in range(12)))
    assert sorted(a.status for a in answers) == [200] * 4 + [402] * 8
    refused = next(a for a in answers if a.status == 402)
    assert json.loads(refused.body)["error"]["type"] == "insufficient_quota"
    assert SETTLER.drain(10)
    assert meter.flush(20)
    assert serving.available() == 0
    with Engine(serving.database) as engine:
        assert Decimal(engine.invoice("acme")["subtotal"]) == 4 * PRICE


async def test_parallel_calls_beyond_what_is_included_are_paid(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(database, "acme", credit="0.50", included=2).close()
    serving = Serving(database, free_ports(1)[0], tmp_path / "server")
    meter = TokenMeter(serving.backend, state_dir=tmp_path / "gateway")
    try:
        serving.start()
        answers = await asyncio.gather(*(Gateway(meter).ask() for _ in range(12)))
        assert sorted(a.status for a in answers) == [200] * 3 + [402] * 9
        assert SETTLER.drain(10)
        assert meter.flush(20)
        assert serving.available() == 0
    finally:
        serving.kill()
        meter.shutdown(1)


@pytest.mark.parametrize("status", [429, 500])
async def test_what_failed_gives_its_hold_back(
    serving: Serving, meter: TokenMeter, status: int
) -> None:
    error = answering(status, JSON, [b'{"error":{"message":"no"}}'])
    for _ in range(5):
        assert (await Gateway(meter, error).ask()).status == status
        assert SETTLER.drain(10)
    assert serving.available() == 4 * PRICE


async def test_a_customer_without_a_wallet_is_refused(meter: TokenMeter) -> None:
    terms = Enforcement(floor_price=Decimal("0.01"))
    answered = await Gateway(meter, terms=terms).ask("nobody")
    assert answered.status == 402
    assert "no wallet" in json.loads(answered.body)["error"]["message"]


async def test_wallets_can_be_elsewhere_than_the_events(serving: Serving) -> None:
    meter = TokenMeter("memory:")
    gateway = Gateway(meter, terms=Enforcement(wallets=serving.backend, timeout_s=30))
    assert [(await gateway.ask()).status for _ in range(5)] == [200] * 4 + [402]
    meter.shutdown()
    assert len(meter.backend.events) == 4
    assert KEY not in repr(Enforcement(wallets=serving.backend))


@pytest.mark.parametrize(("setting", "status"), [("closed", 503), ("open", 200)])
@pytest.mark.parametrize("how", ["kill", "hang"])
async def test_a_server_that_is_gone_is_decided_by_the_setting(
    serving: Serving, meter: TokenMeter, setting: Any, status: int, how: str
) -> None:
    gateway = Gateway(meter, terms=Enforcement(on_unavailable=setting))
    assert (await Gateway(meter).ask()).status == 200
    getattr(serving, how)()
    beats: list[None] = []
    beating = asyncio.create_task(_beat(beats))
    async with asyncio.timeout(TOGETHER_S_MAX):
        answers = await asyncio.gather(*(gateway.ask() for _ in range(100)))
    beating.cancel()
    assert {a.status for a in answers} == {status}
    assert len(beats) >= BEATS_MIN or how == "kill"  # the event loop waited for no answer
    if status == 503:
        assert answers[0].headers["retry-after"] == "5"
    begun = time.monotonic()
    meter.shutdown(1)
    assert time.monotonic() - begun < SHUT_S_MAX  # it waits for no server longer than it is told


async def test_what_hung_is_given_back_when_the_server_goes_on(
    serving: Serving, meter: TokenMeter
) -> None:
    gateway = Gateway(meter, terms=Enforcement())
    assert (await Gateway(meter).ask()).status == 200
    serving.hang()
    assert {(await gateway.ask()).status for _ in range(3)} == {503}
    serving.go_on()
    await _until(lambda: serving.available() == 3 * PRICE)
    await asyncio.sleep(1.1)  # it has been left alone for a moment
    assert (await gateway.ask()).status == 200


async def test_a_call_that_ends_while_the_server_is_away_is_settled_later(
    serving: Serving, meter: TokenMeter
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        serving.kill()  # held, and not settled
        await MADE(scope, receive, send)

    assert (await Gateway(meter, app).ask()).status == 200
    await asyncio.sleep(0.5)
    serving.start()
    await _until(lambda: _open_holds(serving) == 0)
    assert serving.available() == 3 * PRICE


async def test_a_server_that_knows_no_holds_is_unavailable(tmp_path: Path) -> None:
    """Flexprice's own has none."""
    other = await asyncio.start_server(_no_such_page, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    meter = TokenMeter(f"flexprice+http://{KEY}@127.0.0.1:{port}/v1", state_dir=tmp_path)
    floor = Enforcement(floor_price=Decimal("0.01"))
    for terms, status in ((Enforcement(), 503), (floor, 503), (Enforcement("open"), 200)):
        assert (await Gateway(meter, terms=terms).ask()).status == status
    await asyncio.to_thread(meter.shutdown, 1)
    other.close()


def test_a_place_that_is_no_server_is_refused_at_start() -> None:
    with pytest.raises(ConfigurationError, match="names no Flexprice"):
        Gateway(TokenMeter("memory:"), terms=Enforcement(wallets="sqlite:///usage.db"))
    with pytest.raises(ConfigurationError, match="timeout_s"):
        Enforcement(timeout_s=0)


async def _no_such_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    page = b"404 page not found"
    writer.write(
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 18\r\nconnection: close\r\n\r\n" + page
    )
    await writer.drain()
    writer.close()


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(150):
        if holds():
            return
        await asyncio.sleep(0.2)
    assert holds()


def _open_holds(serving: Serving) -> int:
    with sqlite3.connect(serving.database.removeprefix("sqlite:///")) as connection:
        found = connection.execute("select count(*) from holds where state = 'held'").fetchone()
    connection.close()
    return int(found[0])


async def _beat(beats: list[None]) -> None:
    while True:
        await asyncio.sleep(0.01)
        beats.append(None)
