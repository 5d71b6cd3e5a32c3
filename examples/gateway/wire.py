"""
Sockets for httpx2, straight on asyncio: what a gateway does most is to write and to read.

httpx2 takes any backend. The one that it brings works under two event loops, and goes through
several tasks' worth of bookkeeping for each read and write; this one sends head and body of a
request at once, and waits only where there is something to wait for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any

import httpcore2

HELD_BYTES_MAX = 256 * 1024  # that came and were not read; then the sender has to wait
UNSENT_BYTES_MAX = 64 * 1024  # gathered before they are sent
HAPPY_EYEBALLS_S = 0.25  # after which another address of a host is tried as well


class Sockets(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections in the running asyncio loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as its base has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        local = None if local_address is None else (local_address, 0)
        loop = asyncio.get_running_loop()
        # uvloop tries the addresses one after the other.
        how: dict[str, Any] = (
            {"happy_eyeballs_delay": HAPPY_EYEBALLS_S} if _is_asyncio(loop) else {}
        )
        try:
            async with asyncio.timeout(timeout):
                _, wire = await loop.create_connection(Wire, host, port, local_addr=local, **how)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        for option in socket_options or ():
            wire.socket.setsockopt(*option)
        return Stream(wire)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Stream(httpcore2.AsyncNetworkStream):
    """One connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        wire = self._wire
        wire.flush()
        if not wire.parts and not wire.ended:
            try:
                await wire.change(timeout)
            except TimeoutError as error:
                raise httpcore2.ReadTimeout(str(error)) from error
        if wire.parts:
            return wire.take(max_bytes)
        if wire.error is not None:
            raise httpcore2.ReadError(str(wire.error)) from wire.error
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        wire = self._wire
        if wire.ended:
            raise httpcore2.WriteError("the connection is closed") from wire.error
        wire.put(buffer)
        if wire.is_full:
            try:
                await wire.room(timeout)
            except TimeoutError as error:
                raise httpcore2.WriteTimeout(str(error)) from error

    async def aclose(self) -> None:
        self._wire.transport.abort()  # not politely: the provider is to stop now

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        wire = self._wire
        try:
            async with asyncio.timeout(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    wire.transport, wire, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            wire.transport.abort()
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:  # SSLError is one
            wire.transport.abort()
            raise httpcore2.ConnectError(str(error)) from error
        if secured is None:
            raise httpcore2.ConnectError("the connection was closed")
        wire.transport = secured
        return self

    def get_extra_info(self, info: str) -> Any:
        wire = self._wire
        if info == "is_readable":  # of an idle connection: it is of no use any more
            return bool(wire.parts) or wire.ended
        known = {"client_addr": "sockname", "server_addr": "peername"}
        return wire.transport.get_extra_info(known.get(info, info))


class Wire(asyncio.Protocol):
    """What comes and goes over one connection. No reader or writer: one of each at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.parts = deque[bytes]()  # came, and were not read
        self.ended = False
        self.error: Exception | None = None
        self.is_full = False  # the other side does not take what is sent
        self._held = 0
        self._unsent = list[bytes]()
        self._unsent_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._reads: asyncio.Future[None] | None = None
        self._writes: asyncio.Future[None] | None = None

    @property
    def socket(self) -> socket.socket:
        """The socket below."""
        found: socket.socket = self.transport.get_extra_info("socket")
        return found

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came, to a limit."""
        self.parts.append(data)
        self._held += len(data)
        if self._held > HELD_BYTES_MAX:
            self.transport.pause_reading()
        _wake(self._reads)

    def eof_received(self) -> None:
        """Nothing more will come; asyncio closes the connection."""
        self.ended = True
        _wake(self._reads)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of whoever waits."""
        self.ended, self.is_full, self.error = True, False, exc
        _wake(self._reads)
        _wake(self._writes)

    def pause_writing(self) -> None:
        """Let whoever writes wait."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self.is_full = False
        _wake(self._writes)

    def take(self, max_bytes: int) -> bytes:
        """Return what came first."""
        data = self.parts.popleft()
        if len(data) > max_bytes:
            self.parts.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        was_over = self._held > HELD_BYTES_MAX
        self._held -= len(data)
        if was_over and self._held <= HELD_BYTES_MAX and not self.ended:
            self.transport.resume_reading()
        return data

    def put(self, data: bytes) -> None:
        """Send soon, with what is written meanwhile."""
        if not data:
            return
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > UNSENT_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Send now."""
        unsent = self._unsent
        if unsent:
            self._unsent, self._unsent_bytes = [], 0
            if not self.ended:
                self.transport.write(b"".join(unsent) if len(unsent) > 1 else unsent[0])

    async def change(self, timeout_s: float | None) -> None:
        """Wait until something comes, or nothing will."""
        self._reads = self._loop.create_future()
        await self._waited(self._reads, timeout_s)

    async def room(self, timeout_s: float | None) -> None:
        """Wait until the other side takes what is sent."""
        self._writes = self._loop.create_future()
        await self._waited(self._writes, timeout_s)

    async def _waited(self, future: asyncio.Future[None], timeout_s: float | None) -> None:
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, _expire, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()


def _is_asyncio(loop: asyncio.AbstractEventLoop) -> bool:
    return isinstance(loop, asyncio.BaseEventLoop)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
