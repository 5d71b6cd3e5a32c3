"""
One metered request on its way through the middleware.

Its upstream calls are metered by the taps, where the application's client has one; else the
answer's own bytes are read. Never both: an exchange of ours that stands for the answer is
forgotten as soon as an upstream exchange is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from tokenmeter.asgi.answer import BUFFERED_BYTES_MAX, Told, is_small, sealed
from tokenmeter.asgi.asked import Asked
from tokenmeter.asgi.body import Body
from tokenmeter.asgi.incoming import App, Incoming, Message, Send
from tokenmeter.asgi.routes import Route
from tokenmeter.attribution import Run, Scope, current_scope, entered
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.headers import ListedHeaders
from tokenmeter.capture.observation import FAILED_FROM
from tokenmeter.capture.opening import open_exchange
from tokenmeter.enforcement.gate import FREE, Ticket
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.frozen import value

if TYPE_CHECKING:
    from tokenmeter.asgi.charges import Charges
    from tokenmeter.event import Event
    from tokenmeter.meter import TokenMeter


class GatewayRun(Run):
    """A run that tells when one of its events has come."""

    __slots__ = ("told",)

    def __init__(self, run_id: str, price: Callable[[Event], Decimal | None]) -> None:
        super().__init__(run_id, price=price)
        self.told: Callable[[], None] | None = None

    def add(self, event: Event) -> None:
        """Keep an event of this run."""
        super().add(event)
        if self.told is not None:
            self.told()


@value(frozen=True, slots=True)
class Asking:
    """What a request brings with it: who asks for what, in which scope."""

    request: Incoming
    route: Route
    body: Body
    scope: Scope
    run: GatewayRun
    meter: TokenMeter
    charges: Charges


def _nothing(_data: bytes) -> bool:
    """Pass a chunk that nobody looks at: the upstream call is watched, or nothing is."""
    return True


class Metered:
    """The state of one request: made when it comes in, done when its last exchange closed."""

    __slots__ = (
        *("_answered", "_asking", "_forward", "_held", "_held_bytes", "_own", "_passes"),
        *("_start", "_status", "_tickets", "_upstream", "_waits"),
    )

    def __init__(self, asking: Asking, send: Send, ticket: Ticket) -> None:
        self._asking = asking
        self._forward = send
        self._own: Exchange | None = None  # reads the answer, where no upstream call is seen
        self._passes: Callable[[bytes], bool] = _nothing  # whether `_own` need not see a chunk
        self._upstream: list[Exchange] = []
        self._start: Message | None = None  # held until its headers are known
        self._held: list[Message] = []
        self._held_bytes = 0
        self._status: int | None = None
        self._waits = self._answered = False
        self._tickets = [ticket]  # popped by whoever settles: one thread wins
        asking.scope.watch = self._opened
        asking.run.told = self._settle

    async def run(self, app: App) -> None:
        """Let the application answer; close what it left open."""
        try:
            with entered(self._asking.scope):
                await app(self._asking.request.scope, self._asking.body.receive, self.send)
        except BaseException as error:
            if self._own is not None:
                self._own.fail(error)
            raise
        finally:
            self._finish()
        await self._flush()

    async def send(self, message: Message) -> None:
        """Take a message of the application's; the server gets it unchanged but for headers."""
        kind = message["type"]
        try:
            if kind == "http.response.start":
                self._begin(message)
                return
            if kind == "http.response.body":
                if self._start is not None or not message.get("more_body", False):
                    await self._body(message)
                    return
                data = message.get("body", b"")
                if not self._passes(data):
                    self._see(data)
            elif self._start is not None:
                await self._flush()
            await self._forward(sealed(message) if "headers" in message else message)
        except BaseException:
            if self._own is not None:
                self._own.cancelled()  # the client is gone, or nobody waits any more
            raise

    def _opened(self, exchange: Exchange) -> None:
        self._upstream.append(exchange)
        own, self._own = self._own, None
        self._passes = _nothing
        if own is not None:
            own.discard()

    def _begin(self, message: Message) -> None:
        self._start = message
        self._status = message["status"]
        headers = ListedHeaders(list(message.get("headers", ())))
        self._waits = is_small(headers)
        if self._upstream:
            return
        try:
            own = self._read_answer()
            if own is not None:
                own.response(message["status"], headers)
                self._passes = own.quiet()
        except Exception as error:  # noqa: BLE001 - our fault; the answer goes on unmetered
            self._asking.meter.fault(error)

    def _read_answer(self) -> Exchange | None:
        """Open the exchange that reads the answer, if its path speaks a provider's API."""
        asking = self._asking
        if asking.route.host is None:
            return None
        asked = Asked(asking.request, asking.route, asking.body.known)
        if current_scope() is asking.scope:
            own = open_exchange(asking.meter, asked)
        else:  # the application answers from a task of its own
            with entered(asking.scope):
                own = open_exchange(asking.meter, asked)
        if own is not None:
            self._upstream.clear()  # it has told the scope, as upstream exchanges do
            self._own = own
            model = own.call.request_model
            told = model is not None and model not in asking.route.path  # so a body was read
            if not told and not asked.is_readable:
                unread = {**own.call.dimensions, "request_body": "unreadable"}
                own.call = replace(own.call, dimensions=unread)
        return own

    def _see(self, data: bytes) -> None:
        """Let the exchange that reads the answer look at a chunk."""
        own = self._own
        if own is not None and data:
            own.chunk(data)
            if not own.is_open:
                self._passes = _nothing

    async def _body(self, message: Message) -> None:
        """Take a chunk while the headers wait, or the last one."""
        data: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        own = self._own
        if own is not None:
            if not more and not self._held and self._start is not None:
                own.whole(data)
            else:
                self._see(data)
                if not more:
                    own.end()
        if more and self._waits and self._held_bytes + len(data) <= BUFFERED_BYTES_MAX:
            self._held.append(message)
            self._held_bytes += len(data)
            return
        await self._flush(whole=not more)
        await self._forward(message)

    async def _flush(self, *, whole: bool = False) -> None:
        """Send what was held back, with the headers that are known by now."""
        start, self._start = self._start, None
        if start is None:
            return
        held, self._held = self._held, []
        told = await self._told(whole=whole)
        start = sealed(start)
        await self._forward({**start, "headers": [*start["headers"], *told.headers]})
        for message in held:
            await self._forward(message)

    async def _told(self, *, whole: bool) -> Told:
        """Say of this run what is known by now."""
        asking, told = self._asking, Told(self._asking.run)
        try:
            under_way = self._open()
            told.ids([exchange.announce() for exchange in under_way])
            if whole and asking.run.events and not under_way:
                told.amounts()
                told.charge(await asking.charges.of(asking.run.events))
        except Exception as error:  # noqa: BLE001 - our fault; the answer goes out without them
            asking.meter.fault(error)
        return told

    def _open(self) -> list[Exchange]:
        exchanges = self._upstream if self._own is None else [self._own]
        return [exchange for exchange in exchanges if exchange.is_open]

    def _finish(self) -> None:
        """The application is done; an answer that it broke off was cancelled."""
        own = self._own
        if own is not None and own.is_open:
            own.cancelled()
        self._answered = True
        self._settle()

    def _settle(self) -> None:
        """Put right what was reserved, once all exchanges of a finished request are closed."""
        if not self._answered or self._open():
            return
        try:
            ticket = self._tickets.pop()
        except IndexError:
            return
        events = tuple(self._asking.run.events)
        if ticket is FREE or (not events and self._is_under_way()):
            return  # a job was submitted: its hold stays, as long as holds do
        SETTLER.add(lambda: ticket.settle(events))

    def _is_under_way(self) -> bool:
        return self._status is not None and self._status < FAILED_FROM
