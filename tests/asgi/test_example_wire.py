"""The example's sockets do what httpx2's own do, over real connections, and hold little."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway.proxy import LIMITS
from gateway.transport import Transport, transport_of
from gateway.wire import HELD_BYTES_MAX

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    tasks = set[asyncio.Task[None]]()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # a task runs this
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def asked(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one request."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(at[15:]) for at in lines if at.startswith(b"content-length:")), 0)
    return head, await reader.readexactly(length)


def quick(**timeouts: float) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=Transport(LIMITS), timeout=httpx2.Timeout(5.0, **timeouts), trust_env=False
    )


def plain(**timeouts: float) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=httpx2.Timeout(5.0, **timeouts), trust_env=False)


CLIENTS = pytest.mark.parametrize("client", [quick, plain])


@CLIENTS
async def test_connections_are_used_again_and_bodies_arrive_whole(client: Any) -> None:
    bodies, connections = [b"", b"x" * 100, b"y" * 3 * MIB], list[object]()
    got = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            got.append((await asked(reader))[1])
            writer.write(OK)

    async with serving(serve) as port, client() as http:
        for body in bodies:
            answer = await http.post(f"http://127.0.0.1:{port}/v1", content=body)
            assert (answer.status_code, answer.text) == (200, "hello")
    assert got == bodies
    assert len(connections) == 1


@CLIENTS
async def test_a_connection_that_was_closed_while_idle_is_not_used(client: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(OK)
        await writer.drain()

    async with serving(serve) as port, client() as http:
        for _ in range(3):
            assert (await http.get(f"http://127.0.0.1:{port}/")).text == "hello"
            await asyncio.sleep(0.05)


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asked(reader)
    await asyncio.sleep(60)


async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def gone(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asked(reader)


async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asked(reader)
    writer.write(OK[:-2])
    await writer.drain()
    writer.write_eof()
    await asyncio.sleep(60)


async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asked(reader)
    writer.write(b"no HTTP at all\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(60)


@CLIENTS
@pytest.mark.parametrize(
    ("serve", "error", "timeouts"),
    [
        (silent, httpx2.ReadTimeout, {"read": 0.1}),
        (deaf, httpx2.WriteTimeout, {"write": 0.2}),
        (gone, httpx2.RemoteProtocolError, {}),
        (broken, httpx2.RemoteProtocolError, {}),
        (rude, httpx2.RemoteProtocolError, {}),
    ],
)
async def test_what_goes_wrong_is_named_as_httpx2_does(
    client: Any, serve: Serve, error: type[Exception], timeouts: dict[str, float]
) -> None:
    body = b"z" * (32 * MIB if serve is deaf else 10)
    async with serving(serve) as port, client(**timeouts) as http:
        with pytest.raises(error):
            await http.post(f"http://127.0.0.1:{port}/", content=body)


@CLIENTS
async def test_nobody_listens(client: Any) -> None:
    async with serving(silent) as port:
        pass
    async with client() as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get(f"http://127.0.0.1:{port}/")


async def test_a_large_answer_waits_for_its_reader() -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            writer.write(b"a" * MIB)
            await writer.drain()
            sent += MIB

    async with (
        serving(serve) as port,
        quick() as http,
        http.stream("GET", f"http://127.0.0.1:{port}/") as answer,
    ):
        await asyncio.sleep(0.3)
        buffers = 16 * MIB  # of both sockets, and the server's
        assert sent < HELD_BYTES_MAX + buffers
        assert sum([len(part) async for part in answer.aiter_raw()]) == 64 * MIB


async def test_an_answer_that_is_dropped_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegin")
        await reader.read()
        closed.set()

    async with serving(serve) as port, quick() as http:
        async with http.stream("GET", f"http://127.0.0.1:{port}/") as answer:
            assert await anext(answer.aiter_raw()) == b"begin"
        await asyncio.wait_for(closed.wait(), 5)


NEEDS_OPENSSL = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs openssl to make a certificate"
)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    made, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    told = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    keyed = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(made)]
    subprocess.run(
        ["openssl", "req", "-x509", *keyed, *told, *files], check=True, capture_output=True
    )
    return made, key


@NEEDS_OPENSSL
async def test_it_speaks_tls_and_checks_who_answers(certificate: tuple[Path, Path]) -> None:
    made, key = certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(made, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await asked(reader)
            writer.write(OK)

    async with serving(serve, tls) as port:
        url = f"https://127.0.0.1:{port}/"
        trusted = Transport(LIMITS, verify=ssl.create_default_context(cafile=made))
        async with httpx2.AsyncClient(transport=trusted) as http:
            for _ in range(2):
                assert (await http.post(url, content=b"x" * MIB)).text == "hello"
        async with quick() as http:
            with pytest.raises(httpx2.ConnectError):
                await http.get(url)


def test_a_proxy_of_the_environment_is_still_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert isinstance(transport_of(LIMITS), Transport)
    monkeypatch.setenv("https_proxy", "http://proxy.internal:3128")
    assert transport_of(LIMITS) is None
