"""
One metered request on its way through the middleware.

Its upstream calls are metered by the taps, where the application's client has one; else the
answer's own bytes are read. Never both: an exchange of ours that stands for the answer is
forgotten as soon as an upstream exchange is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tokenmeter.asgi.answer import (
    BUFFERED_BYTES_MAX,
    amount_headers,
    charge_headers,
    event_headers,
    is_small,
    is_unmeasured,
    run_header,
    sealed,
)
from tokenmeter.asgi.asked import Asked
from tokenmeter.asgi.asking import Asking
from tokenmeter.asgi.incoming import App, Headers, Message, RawHeaders, Send
from tokenmeter.attribution import current_scope, enter, entered, leave
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.gating import settle
from tokenmeter.capture.opening import open_exchange
from tokenmeter.enforcement.gate import FREE, Ticket
from tokenmeter.enforcement.settling import SETTLER

if TYPE_CHECKING:
    from tokenmeter.attribution import Scope
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
        *("_own", "_passes", "_start", "_status", "_tickets", "_upstream", "_waits"),
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
        self._waits = self._answered = False
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
            await self._flush()

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
                await self._flush()
            await self._forward(sealed(message, []) if "headers" in message else message)
        except BaseException:
            own = self._reading()
            if own is not None:
                own.cancelled()  # the client is gone, or nobody waits any more
            raise

    def _opened(self, exchange: Exchange) -> None:
        if self._later is not None and exchange.scope is not None:
            self._gate(exchange.scope, self._later)
        self._upstream.append(exchange)
        own, self._own = self._own, None
        self._passes = _nothing
        if own is not None:
            own.discard()

    def _gate(self, scope: Scope, later: TapGate) -> None:
        """Have a call asked about, unless it is the one that the ticket is for."""
        used = any(other.is_open or other.error is None for other in self._upstream)
        if used and scope.gate is None:
            scope.gate = later
        elif not used and scope.gate is later:
            scope.gate = None

    def _begin(self, message: Message) -> None:
        self._start = message
        self._status = message["status"]
        self._headers = headers = Headers(message.get("headers", ()))
        if not self._upstream:
            try:
                self._read_answer()
            except Exception as error:  # noqa: BLE001 - our fault; it goes on unmetered
                self._asking.meter.fault(error)
        self._waits = is_small(headers) or (is_unmeasured(headers) and self._is_whole())

    def _read_answer(self) -> None:
        """Open the exchange that reads the answer, if its path speaks a provider's API."""
        asking = self._asking
        if asking.route.host is None:
            return
        asked = Asked(asking.request, asking.route, asking.body.known)
        if current_scope() is asking.scope:
            own = open_exchange(asking.meter, asked, edits=False)
        else:  # the application answers from a task of its own
            with entered(asking.scope):
                own = open_exchange(asking.meter, asked, edits=False)
        if own is not None:
            self._upstream.clear()  # it has told the scope, as upstream exchanges do
            self._own = own
            model = own.call.request_model
            told = model is not None and model not in asking.route.path  # so a body was read
            if not told and not asked.is_readable:
                unread = {**own.call.dimensions, "request_body": "unreadable"}
                own.call = replace(own.call, dimensions=unread)

    def _reading(self) -> Exchange | None:
        """Return the exchange that reads the answer, told all of it that has come so far."""
        own, headers = self._own, self._headers
        if own is not None and headers is not None:
            self._headers = None
            try:
                own.response(self._status, headers)
                self._passes = own.quiet()
            except Exception as error:  # noqa: BLE001 - as in `_begin`
                self._asking.meter.fault(error)
            for message in self._held:
                own.chunk(_data(message))
        return own

    def _see(self, data: bytes, *, last: bool = False) -> None:
        """Let the exchange that reads the answer look at a chunk."""
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
        except Exception as error:  # noqa: BLE001 - as in `_begin`
            self._reading()
            own.broken(error)
        self._reading()
        own.whole(data)

    async def _body(self, message: Message) -> None:
        """Take a chunk while the headers wait, or the last one."""
        data: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if more and self._waits and self._held_bytes + len(data) <= BUFFERED_BYTES_MAX:
            self._held.append(message)
            self._held_bytes += len(data)
            return
        if not more and self._headers is not None:
            self._see_whole(data)
        else:
            self._see(data, last=not more)
        if self._start is not None:
            await self._flush(whole=not more)
        await self._forward(message)

    async def _flush(self, *, whole: bool = False) -> None:
        """Send what was held back, with the headers that are known by now."""
        start, self._start = self._start, None
        if start is None:
            return
        await self._forward(sealed(start, await self._told(whole=whole)))
        held, self._held = self._held, []
        for message in held:
            await self._forward(message)

    async def _told(self, *, whole: bool) -> RawHeaders:
        """Say of this run what is known by now."""
        asking = self._asking
        run, told = asking.run, [run_header(asking.run)]
        try:
            if self._headers is not None:
                self._reading()
            under_way = self._open()
            told += event_headers(run, under_way)
            if whole and run.events and not under_way:
                told += amount_headers(run)
                if asking.charges.may_tell(run.events):
                    charge = await asking.charges.of(run.events)
                    told += () if charge is None else charge_headers(charge)
        except Exception as error:  # noqa: BLE001 - our fault; the answer goes out without them
            asking.meter.fault(error)
        return told

    def _open(self) -> list[Exchange]:
        exchanges = self._upstream if self._own is None else [self._own]
        return [exchange for exchange in exchanges if exchange.is_open]

    def _is_whole(self) -> bool:
        """Whether the answer is that of a call under way, and no stream."""
        calls = [exchange.call for exchange in self._open()]
        host = self._asking.route.host
        return host is not None and bool(calls) and not any(call.streamed for call in calls)

    def _finish(self) -> None:
        """The application is done; an answer that it broke off was cancelled."""
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
        held = [other for other in self._upstream if other.ticket not in (None, FREE)]
        by_taps = {other.attempt.call_id for other in held}
        mine = self._upstream if self._own is None else [self._own]
        job = next((o.job for o in mine if o.job is not None and o not in held), None)
        asking.scope.watch, asking.run.told = _unwatched, None
        events = tuple(e for e in asking.run.events if e.properties.get("call_id") not in by_taps)
        SETTLER.add(lambda: settle(ticket, events, self._status or None, job))
