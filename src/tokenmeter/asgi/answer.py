"""The headers that the caller gets with an answer, and those it may not send or forge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tokenmeter.asgi.incoming import OURS, Message, RawHeaders, Send, without_ours
from tokenmeter.asgi.routes import Route
from tokenmeter.attribution import Run
from tokenmeter.capture.refusal import Refusal
from tokenmeter.money import Money
from tokenmeter.usage import Number

EVENT_IDS_MAX = 20  # that one header names; a run may have more
BUFFERED_BYTES_MAX = 256 * 1024  # a whole answer up to this size waits for its cost


def sealed(message: Message) -> Message:
    """Return a message without headers of ours that the application, or its upstream, set."""
    return {**message, "headers": without_ours(message.get("headers", ()))}


class Told:
    """What is told of a run, in the order in which it is known."""

    __slots__ = ("_run", "headers")

    def __init__(self, run: Run) -> None:
        self._run = run
        self.headers: RawHeaders = [_header(b"run-id", run.run_id)]

    def ids(self, under_way: Iterable[str]) -> None:
        """Name the events of this run so far, newest last; none if there are none."""
        named = [event.event_id for event in self._run.events[-EVENT_IDS_MAX:]]
        named += under_way
        if named:
            self.headers.append(_header(b"event-id", ",".join(named[-EVENT_IDS_MAX:])))

    def amounts(self) -> None:
        """Tell usage, and cost in USD, as far as known."""
        run = self._run
        usage, cost = run.events[0].usage if len(run.events) == 1 else run.usage, run.cost
        if usage:
            said = ",".join([f'"{name}":{_plain(number)}' for name, number in usage.items()])
            self.headers.append(_header(b"usage", f"{{{said}}}"))
        if cost is not None:
            self.headers.append(_header(b"cost", format(cost.amount, "f")))

    def charge(self, charge: Money | None) -> None:
        """Tell what the customer is charged, if that is known."""
        if charge is not None:
            self.headers.append(_header(b"charge", format(charge.amount, "f")))
            self.headers.append(_header(b"charge-currency", charge.currency))


def _header(name: bytes, value: str) -> tuple[bytes, bytes]:
    """Return one of our headers; `value` is made of what cannot end a header line."""
    return OURS + name, value.encode("ascii", "replace")


def is_small(headers: Mapping[str, str]) -> bool:
    """Whether an answer is no stream, and short enough to wait for its end."""
    length = headers.get("content-length", "")
    if not (length.isdecimal() and length.isascii() and len(length) <= LENGTH_DIGITS_MAX):
        return False
    streamed = "event-stream" in headers.get("content-type", "").lower()
    return not streamed and int(length) <= BUFFERED_BYTES_MAX


LENGTH_DIGITS_MAX = 7


async def refuse(send: Send, route: Route | None, refusal: Refusal) -> None:
    """Answer instead of the application, in the caller's dialect."""
    body = refusal.body("openai" if route is None else route.dialect)
    headers = {**refusal.headers(), "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _plain(number: Number) -> int | str:
    """Write a number as JSON has it: a decimal is a text, as in an event."""
    return number if isinstance(number, int) else f'"{number:f}"'
