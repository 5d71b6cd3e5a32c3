"""
One metered request on its way through the middleware.

Its upstream calls are metered by the taps, where the application's client has one; else the
answer's own bytes are read. Never both: an exchange of ours that stands for the answer is
forgotten as soon as an upstream exchange is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tokenmeter.asgi.admission import gate_later
from tokenmeter.asgi.answer import (
    BUFFERED_BYTES_MAX,
    amount_headers,
    charge_headers,
    event_headers,
    is_unmeasured,
    run_header,
    sealed,
    small_length,
)
from tokenmeter.asgi.asking import Asking
from tokenmeter.asgi.incoming import App, Message, Send
from tokenmeter.asgi.reading import kept_whole, opened
from tokenmeter.asgi.settled import settle_soon
from tokenmeter.attribution import enter, leave
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.headers import Headers, RawHeaders
from tokenmeter.enforcement.gate import FREE, Ticket

if TYPE_CHECKING:
    from tokenmeter.enforcement.taps import TapGate


def _data(message: Message) -> bytes:
    data: bytes = message.get("body", b"")
    return data


def _nothing(_data: bytes) -> bool:
    """Pass a chunk that nobody looks at: the upstream call is watched, or nothing is."""
    return True


def _unwatched(_exchange: Exchange) -> None:
    """Let go of a request that is answered: a cycle would wait for the garbage collector."""


class Metered:
    """The state of one request: made when it comes in, done when its last exchange closed."""

    __slots__ = (
        *("_answered", "_asking", "_forward", "_headers", "_held", "_held_bytes", "_later"),
        *("_length", "_own", "_passes", "_start", "_status", "_tickets", "_unopened"),
        *("_upstream", "_waits"),
    )

    def __init__(
        self, asking: Asking, send: Send, ticket: Ticket, later: TapGate | None = None
    ) -> None:
        self._asking = asking
        self._forward = send
        self._later = later  # asks about calls beyond the one that the ticket is for
        self._own: Exchange | None = None  # reads the answer, where no upstream call is seen
        self._headers: Headers | None = None  # of the answer, until `_own` is told them
        self._passes: Callable[[bytes], bool] = _nothing  # whether `_own` need not see a chunk
        self._upstream: list[Exchange] = []
        self._start: Message | None = None  # held until its headers are known
        self._held: list[Message] = []
        self._held_bytes = self._status = 0
        self._waits = self._answered = self._unopened = False
        self._tickets = [ticket]  # popped by whoever settles: one thread wins
        asking.scope.watch = self._opened
        if ticket is not FREE:
            asking.run.told = self._settle

    async def run(self, app: App) -> None:
        """Let the application answer; close what it left open."""
        asking = self._asking
        token = enter(asking.scope)
        try:
            await app(asking.request.scope, asking.body.receive, self.send)
        except BaseException as error:
            own = self._reading()
            if own is not None:
                own.fail(error)
            raise
        finally:
            leave(asking.scope, token)
            self._finish()
        if self._start is not None:
            await self._flush(self._start)

    async def send(self, message: Message) -> None:
        """Take a message of the application's; the server gets it unchanged but for headers."""
        kind = message["type"]
        try:
            if kind == "http.response.body":
                if self._start is not None or not message.get("more_body", False):
                    await self._body(message)
                    return
                data = message.get("body", b"")
                if not self._passes(data):
                    self._see(data)
                await self._forward(message)
                return
            if kind == "http.response.start":
                self._begin(message)
                return
            if self._start is not None:
                await self._flush(self._start)
            await self._forward(sealed(message, []) if "headers" in message else message)
        except BaseException:
            own = self._reading()
            if own is not None:
                own.cancelled()  # the client is gone, or nobody waits any more
            raise

    def _opened(self, exchange: Exchange) -> None:
        self._unopened = False
        if self._later is not None and exchange.scope is not None:
            gate_later(exchange.scope, self._later, self._upstream)
        self._upstream.append(exchange)
        own, self._own = self._own, None
        self._passes = _nothing
        if own is not None:
            own.discard()

    def _begin(self, message: Message) -> None:
        self._start = message
        self._status = message["status"]
        self._headers = headers = Headers(message.get("headers", ()))
        self._unopened = not self._upstream and self._asking.route.host is not None
        self._length = small_length(headers)
        self._waits = self._length >= 0
        if not self._waits:  # else what reads it is opened with its body, which may come whole
            self._open_answer()
            self._waits = is_unmeasured(headers) and self._is_whole()

    def _open_answer(self) -> None:
        """Open what reads the answer, unless somebody has, or an upstream call is seen."""
        if not self._unopened:
            return
        self._unopened = False
        try:
            own = opened(self._asking)
        except Exception as error:  # noqa: BLE001 - our fault; it goes on unmetered
            self._asking.meter.fault(error)
            return
        if own is not None:
            self._upstream.clear()  # it has told the scope, as upstream exchanges do
            self._own = own

    def _reading(self) -> Exchange | None:
        """Return the exchange that reads the answer, told all of it that has come so far."""
        self._open_answer()
        own, headers = self._own, self._headers
        if own is not None and headers is not None:
            self._headers = None
            try:
                own.response(self._status, headers)
                self._passes = own.quiet()
            except Exception as error:  # noqa: BLE001 - as in `_open_answer`
                self._asking.meter.fault(error)
            for message in self._held:
                own.chunk(_data(message))
        return own

    def _see(self, data: bytes, *, last: bool = False) -> None:
        """Let the exchange that reads the answer look at a chunk."""
        if last and self._headers is not None:
            self._see_whole(data)
            return
        own = self._reading()
        if own is None:
            return
        if data:
            own.chunk(data)
        if last:
            own.end()
        elif not own.is_open:
            self._passes = _nothing

    def _see_whole(self, data: bytes) -> None:
        """Let it look at a whole answer, whose end has come: at once, if it is a usual one."""
        own, headers = self._own, self._headers
        if own is None or headers is None:
            return
        try:
            plain = b"content-encoding" not in headers.known
            whole = b"".join([*map(_data, self._held), data]) if self._held else data
            if plain and own.answered(self._status, headers, whole):
                self._headers = None  # nothing is left to be read
                return
        except Exception as error:  # noqa: BLE001 - as in `_open_answer`
            self._reading()
            own.broken(error)
        self._reading()
        own.whole(data)

    def _at_once(self, data: bytes) -> bool:
        """Meter a whole answer that has come in one piece; False if it takes an exchange."""
        headers = self._headers
        if headers is None or not self._unopened:
            return False
        try:
            kept = kept_whole(self._asking, self._status, headers, data)
        except Exception as error:  # noqa: BLE001 - as in `_open_answer`
            self._asking.meter.fault(error)
            return False
        if kept:
            self._unopened, self._headers = False, None  # nothing is left to be read
        return kept

    async def _body(self, message: Message) -> None:
        """Take a chunk while the headers wait, or the last one."""
        data: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if more and self._waits and self._held_bytes + len(data) <= BUFFERED_BYTES_MAX:
            if len(data) != self._length or not self._at_once(data):
                self._open_answer()
            self._held.append(message)
            self._held_bytes += len(data)
            return
        if more or not self._at_once(data):
            self._open_answer()
            self._see(data, last=not more)
        if self._start is not None:
            await self._flush(self._start, whole=not more)
        await self._forward(message)

    async def _flush(self, start: Message, *, whole: bool = False) -> None:
        """Send what was held back, with the headers that are known by now."""
        self._start = None
        asking = self._asking
        told = [run_header(asking.run)]
        try:
            if self._tell(told, whole=whole):
                charge = await asking.charges.of(asking.run.events)
                told += () if charge is None else charge_headers(charge)
        except Exception as error:  # noqa: BLE001 - our fault; the answer goes out without them
            asking.meter.fault(error)
        await self._forward(sealed(start, told))
        held, self._held = self._held, []
        for message in held:
            await self._forward(message)

    def _tell(self, told: RawHeaders, *, whole: bool) -> bool:
        """Say of this run what is known by now; True if its charge may be known, too."""
        run = self._asking.run
        if self._headers is not None:
            self._reading()
        under_way = self._open()
        told += event_headers(run, under_way)
        if not whole or under_way or not run.events:
            return False
        told += amount_headers(run)
        return self._asking.charges.may_tell(run.events)

    def _open(self) -> list[Exchange]:
        own = self._own
        if own is not None:
            return [own] if own.is_open else []
        return self._upstream and [exchange for exchange in self._upstream if exchange.is_open]

    def _is_whole(self) -> bool:
        """Whether the answer is that of a call under way, and no stream."""
        calls = [exchange.call for exchange in self._open()]
        spoken = self._asking.route.host is not None and bool(calls)
        return spoken and not any(call.streamed for call in calls)

    def _finish(self) -> None:
        """The application is done; an answer that it broke off was cancelled."""
        self._open_answer()
        own = self._own
        if own is not None and own.is_open:
            self._reading()
            own.cancelled()
        self._answered = True
        asking = self._asking
        if asking.run.told is None:
            asking.scope.watch = _unwatched  # nothing was reserved
        else:
            self._settle()

    def _settle(self) -> None:
        """Put right what was reserved, once all exchanges of a finished request are closed."""
        if not self._answered or self._open():
            return
        try:
            ticket = self._tickets.pop()
        except IndexError:
            return
        asking = self._asking
        asking.scope.watch, asking.run.told = _unwatched, None
        mine = self._upstream if self._own is None else [self._own]
        settle_soon(ticket, asking.run, (self._upstream, mine), self._status or None)
