"""The headers that the caller gets with an answer, and those it may not send or forge."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal

from tokenmeter.asgi.incoming import Message, RawHeaders, Send
from tokenmeter.asgi.routes import Route
from tokenmeter.capture.refusal import Refusal
from tokenmeter.usage import Usage

OURS = b"x-tokenmeter-"
EVENT_IDS_MAX = 20  # that one header names; a run may have more
BUFFERED_BYTES_MAX = 256 * 1024  # a whole answer up to this size waits for its cost


def without_ours(headers: RawHeaders) -> RawHeaders:
    """Return headers without those that only we may set."""
    return [(name, value) for name, value in headers if not name.lower().startswith(OURS)]


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """Return one of our headers; `value` is made of what cannot end a header line."""
    return OURS + name.encode(), value.encode("ascii", "replace")


def event_ids(ids: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return the header that names the events of this run so far, newest last; none if none."""
    named = list(ids)[-EVENT_IDS_MAX:]
    return [header("event-id", ",".join(named))] if named else []


def amounts(usage: Usage, cost: Decimal | None) -> RawHeaders:
    """Return usage, and cost in USD, as far as known."""
    found: RawHeaders = []
    if usage:
        numbers = {name: _plain(number) for name, number in usage.items()}
        found.append(header("usage", json.dumps(numbers, separators=(",", ":"))))
    if cost is not None:
        found.append(header("cost", format(cost, "f")))
    return found


def is_small(start: Message) -> bool:
    """Whether an answer is no stream, and short enough to wait for its end."""
    length: str | None = None
    for name, value in start.get("headers", ()):
        lower = name.lower()
        if lower == b"content-type" and b"event-stream" in value.lower():
            return False
        if lower == b"content-length":
            length = value.decode("latin-1")
    return length is not None and length.isdecimal() and int(length) <= BUFFERED_BYTES_MAX


def plain_headers(start: Message) -> dict[str, str]:
    """Return an answer's headers by lower-case name."""
    return {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in start.get("headers", ())
    }


async def refuse(send: Send, route: Route | None, refusal: Refusal) -> None:
    """Answer instead of the application, in the caller's dialect."""
    body = refusal.body("openai" if route is None else route.dialect)
    headers = {**refusal.headers(), "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _plain(number: int | Decimal) -> int | str:
    return number if isinstance(number, int) else format(number, "f")
