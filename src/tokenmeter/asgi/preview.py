"""The quote of a request, as JSON: ``POST /tokenmeter/preview``, or a header on any route."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenmeter.asgi.admission import TOO_LARGE, quoted
from tokenmeter.asgi.asked import Asked
from tokenmeter.asgi.body import Body
from tokenmeter.asgi.identity import Identity
from tokenmeter.asgi.incoming import Incoming, Send
from tokenmeter.asgi.routes import Route, Routes
from tokenmeter.capture.headers import RawHeaders
from tokenmeter.capture.refusal import Refusal
from tokenmeter.capture.requests import parse_body
from tokenmeter.errors import TokenmeterError
from tokenmeter.pricing.quote import Quote, Range

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter

PREVIEW_PATH = "/tokenmeter/preview"
PREVIEW_SWITCH = b"x-tokenmeter-preview"
SWITCH_CHARS = len(PREVIEW_SWITCH)
ONLY_POST = Refusal(405, "A preview is asked for by POST, with a provider's own body.")
NO_PRICE = Refusal(400, "This is no request whose price is known; send a provider's own body.")
_JSON: RawHeaders = [(b"content-type", b"application/json")]


def is_preview(headers: RawHeaders) -> bool:
    """Whether the client asks what its request would cost instead of making it."""
    said = [v for n, v in headers if len(n) == SWITCH_CHARS and n.lower() == PREVIEW_SWITCH]
    return bool(said) and all(value.strip().lower() == b"true" for value in said)


def route_of_body(routes: Routes, content: bytes) -> Route | None:
    """
    Find out whose API a provider-shaped body is for.

    Its `path` says so ({"path": "/v1/messages", "body": {...}}); else its shape does.
    """
    fields = parse_body(content, "")
    path = fields.get("path")
    if not fields:
        return None
    if isinstance(path, str):
        return routes.known(path)
    return routes.known(_likely_path(fields))


def inner_body(content: bytes) -> bytes:
    """Return the provider's body, without the envelope that names its path."""
    fields = parse_body(content, "")
    inner = fields.get("body")
    enveloped = isinstance(fields.get("path"), str) and isinstance(inner, dict)
    return json.dumps(inner).encode() if enveloped else content


def _likely_path(fields: dict[str, Any]) -> str:
    if "contents" in fields:
        model = str(fields.get("model", "")).removeprefix("models/")
        return f"/v1beta/models/{model}:generateContent"
    if "messages" in fields:
        claude = str(fields.get("model", "")).startswith("claude")
        return "/v1/messages" if claude else "/v1/chat/completions"
    if "prompt" in fields:
        return "/v1/videos" if "seconds" in fields else "/v1/images/generations"
    return "/v1/responses"


def to_json(quote: Quote) -> dict[str, Any]:
    """Write a quote: amounts are decimals as strings, None where no price is known."""
    return {
        "provider": quote.provider,
        "model": quote.model,
        "customer": quote.customer,
        "cost": _range(quote.cost),
        "charge": _range(quote.charge),
        "basis": quote.basis,
        "exact": quote.exact,
        "notes": list(quote.notes),
        "usage": {name: _number(value) for name, value in quote.usage.items()},
    }


@dataclass(frozen=True, slots=True)
class Price:
    """A request whose price is asked. Without a `route`, its body says whose API it is for."""

    request: Incoming
    route: Route | None
    body: Body
    identity: Identity
    meter: TokenMeter

    async def answer(self, routes: Routes) -> tuple[int, dict[str, Any] | Refusal]:
        """Return the quote as JSON, or why there is none."""
        if self.route is None and self.request.method != "POST":
            return 405, ONLY_POST
        if not await self.body.ahead():
            return 413, TOO_LARGE
        content = self.body.known or b""
        route = self.route or route_of_body(routes, content)
        if route is None or route.host is None:
            return 400, NO_PRICE
        inner = content if self.route is not None else inner_body(content)
        asked = Asked(self.request, route, inner, method="POST")
        try:
            quote = await quoted(self.meter, asked, self.identity)
        except TokenmeterError as error:
            return 400, Refusal(400, str(error))
        return (400, NO_PRICE) if quote is None else (200, to_json(quote))


async def send_json(send: Send, status: int, answer: dict[str, Any]) -> None:
    """Answer with JSON."""
    body = json.dumps(answer, separators=(",", ":")).encode()
    headers = [*_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _range(found: Range | None) -> dict[str, str] | None:
    if found is None:
        return None
    return {
        "low": format(found.low.amount, "f"),
        "expected": format(found.expected.amount, "f"),
        "high": format(found.high.amount, "f"),
        "currency": found.high.currency,
    }


def _number(value: Any) -> int | str:
    return value if isinstance(value, int) else format(value, "f")
