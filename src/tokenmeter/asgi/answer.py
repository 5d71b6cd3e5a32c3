"""The headers that the caller gets with an answer, and those it may not send or forge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tokenmeter.asgi.asking import GatewayRun
from tokenmeter.asgi.incoming import OURS, Message, Send, without_ours
from tokenmeter.asgi.routes import Route
from tokenmeter.attribution import Run
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.headers import Headers, RawHeaders
from tokenmeter.capture.refusal import Refusal
from tokenmeter.event import Property
from tokenmeter.money import Money
from tokenmeter.usage import METRICS

Header = tuple[bytes, bytes]

EVENT_IDS_MAX = 20  # that one header names; a run may have more
BUFFERED_BYTES_MAX = 256 * 1024  # a whole answer up to this size waits for its cost


def sealed(message: Message, told: RawHeaders) -> Message:
    """Return a message with what is `told`, without headers of ours that somebody else set."""
    return {**message, "headers": [*without_ours(message.get("headers", ())), *told]}


def run_header(run: Run) -> Header:
    """Name the run."""
    return b"x-tokenmeter-run-id", run.run_id.encode("ascii", "replace")


def event_headers(run: Run, under_way: Sequence[Exchange]) -> RawHeaders:
    """Name the events of a run so far, newest last; none if there are none."""
    events = run.events
    if len(events) == 1 and not under_way:
        return [_header(b"event-id", events[0].event_id)]
    named = [event.event_id for event in events[-EVENT_IDS_MAX:]]
    named += [exchange.announce() for exchange in under_way if _tells_its_id(exchange)]
    return [_header(b"event-id", ",".join(named[-EVENT_IDS_MAX:]))] if named else []


def _tells_its_id(exchange: Exchange) -> bool:
    """
    Whether the id of an exchange under way can be told.

    Of a thing that was created elsewhere no id may be made up: each look would be an event.
    """
    reader = exchange.reader
    known = reader is not None and reader.reading.response_id is not None
    return known or exchange.event_id is not None or not exchange.call.repeated


def amount_headers(run: GatewayRun) -> RawHeaders:
    """Tell usage, and cost in USD, as far as known."""
    told: RawHeaders = []
    one = run.events[0] if len(run.events) == 1 else None
    plain = _metrics(run.usage if one is None else one.properties)
    if plain:
        told.append((b"x-tokenmeter-usage", _json(plain)))
    cost = _total(run) if one is None else run.cost_of(one)
    if cost is not None:
        told.append((b"x-tokenmeter-cost", cost.encode()))
    return told


def _total(run: Run) -> str | None:
    cost = run.cost
    return None if cost is None else format(cost.amount, "f")


def _metrics(usage: Mapping[str, Property]) -> dict[str, Property]:
    """Return the metrics, decimals written out."""
    found = {name: usage[name] for name in filter(_is_metric, usage)}
    if _WHOLE.issuperset(map(type, found.values())):
        return found
    return {
        name: number if type(number) is int else format(number, "f")
        for name, number in found.items()
        if type(number) is not str
    }


def charge_headers(charge: Money) -> RawHeaders:
    """Tell what the customer is charged."""
    return [
        _header(b"charge", format(charge.amount, "f")),
        _header(b"charge-currency", charge.currency),
    ]


_json = msgspec.json.Encoder().encode
_is_metric = METRICS.__contains__
_WHOLE = frozenset({int})


def _header(name: bytes, value: str) -> Header:
    """Return one of our headers; `value` is made of what cannot end a header line."""
    return OURS + name, value.encode("ascii", "replace")


def small_length(headers: Headers) -> int:
    """Return the length of an answer that is no stream, and short enough to wait for; else -1."""
    known = headers.known
    length = known.get(b"content-length")
    # Bytes know no digits but ASCII's.
    if length is None or len(length) > LENGTH_DIGITS_MAX or not length.isdigit():
        return -1
    is_stream = b"event-stream" in known.get(b"content-type", b"").lower()
    found = int(length)
    return -1 if is_stream or found > BUFFERED_BYTES_MAX else found


LENGTH_DIGITS_MAX = 7


def is_unmeasured(headers: Headers) -> bool:
    """Whether an answer is JSON that does not say its length, as proxies send it on."""
    known = headers.known
    return b"content-length" not in known and known.get(b"content-type", b"").lower().startswith(
        b"application/json"
    )


async def refuse(send: Send, route: Route | None, refusal: Refusal) -> None:
    """Answer instead of the application, in the caller's dialect."""
    body = refusal.body("openai" if route is None else route.dialect)
    headers = {**refusal.headers(), "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
