"""
A call that is refused: the answer is as if its provider had said so, and the library read it.

Each library gets a response of its own class, as its adapter would have made it.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.refusal import Dialect, Refusal
from tokenmeter.providers.base import Call

_DIALECTS: dict[str, Dialect] = {"messages": "anthropic", "messages.batches": "anthropic"}
_GOOGLE = frozenset({"google", "google-vertex"})
_BEDROCK = "bedrock"


def refusal_of(exchange: Exchange) -> Refusal | None:
    """Ask the gate about a call that is about to be sent; may wait for a database."""
    return exchange.admit() if exchange.is_gated else None


async def refusal_soon(exchange: Exchange) -> Refusal | None:
    """The same on a thread: the event loop goes on. A caller who is cancelled reserves nothing."""
    if not exchange.is_gated:
        return None
    from tokenmeter.capture.threads import in_thread  # here to keep our import light

    try:
        return await in_thread(exchange.admit, undo=lambda _refusal: exchange.withdraw())
    except BaseException:
        exchange.discard()
        raise


def _dialect(call: Call) -> Dialect:
    if call.provider == _BEDROCK:
        return "aws"
    if call.provider in _GOOGLE and not call.api.operation.startswith("chat"):
        return "google"
    return _DIALECTS.get(call.api.operation, "openai")


def _said(refusal: Refusal, call: Call) -> tuple[bytes, dict[str, str]]:
    dialect = _dialect(call)
    body = refusal.body(dialect)
    return body, {**refusal.headers(dialect), "content-length": str(len(body))}


def httpx_response(refusal: Refusal, call: Call, request: Any) -> Any:
    """Build a response of the request's own library (httpx or httpx2)."""
    library = sys.modules[type(request).__module__.partition(".")[0]]
    body, headers = _said(refusal, call)
    return library.Response(refusal.status, headers=headers, content=body, request=request)


def requests_response(refusal: Refusal, call: Call, request: Any, options: Any) -> Any:
    """Build what a session returns: read, unless it streams, and seen by the user's hooks."""
    adapter = sys.modules["requests.adapters"].HTTPAdapter()
    response = adapter.build_response(request, _raw(refusal, call))
    if not options.get("stream"):
        _ = response.content
    hooks = sys.modules["requests.hooks"]
    return hooks.dispatch_hook("response", request.hooks, response, **options)


def botocore_response(refusal: Refusal, call: Call, request: Any) -> Any:
    """Build what botocore's session returns; its parsers make the provider's error of it."""
    made = sys.modules["botocore.awsrequest"].AWSResponse
    _, headers = _said(refusal, call)
    return made(request.url, refusal.status, headers, _raw(refusal, call))


def lm15_response(refusal: Refusal, call: Call, request: Any, *, soon: bool) -> Any:
    """Build a response of the request's own package; `soon`: one that is read asynchronously."""
    types = sys.modules[type(request).__module__]
    body, headers = _said(refusal, call)
    made = types.AsyncTransportResponse if soon else types.TransportResponse
    return made(
        status=refusal.status,
        reason=_reason(refusal),
        headers=list(headers.items()),
        http_version="HTTP/1.1",
        chunks=_soon(body) if soon else iter((body,)),
        release=_released_soon if soon else _released,
    )


async def _soon(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _released(_body_consumed: object) -> None:
    """There is no connection to give back."""


async def _released_soon(_body_consumed: object) -> None:
    """The same for what is awaited."""


def _raw(refusal: Refusal, call: Call) -> Any:
    """Build the urllib3 response that requests and botocore read."""
    body, headers = _said(refusal, call)
    return sys.modules["urllib3"].HTTPResponse(
        io.BytesIO(body),
        headers,
        refusal.status,
        reason=_reason(refusal),
        preload_content=False,
    )


def _reason(refusal: Refusal) -> str:
    return HTTPStatus(refusal.status).phrase


class _Written:
    """Stands for the writer of a request that is not sent."""

    output_size = 0


async def aiohttp_response(
    refusal: Refusal, call: Call, session: Any, asked: tuple[str, Any, Any], options: Any
) -> Any:
    """Build what a session returns; raises as it does if the user wants errors raised."""
    from tokenmeter.capture.taps.aiohttp_body import filled_reader  # here, as in the tap

    response = _unsent(session, *asked)
    body, said = _said(refusal, call)
    multidict = sys.modules["multidict"]
    response.status, response.reason = refusal.status, _reason(refusal)
    response.version = sys.modules["aiohttp"].HttpVersion11
    response._headers = multidict.CIMultiDictProxy(multidict.CIMultiDict(said))  # noqa: SLF001
    response._raw_headers = tuple((n.encode(), v.encode()) for n, v in said.items())  # noqa: SLF001
    response.content = filled_reader(body)
    raises = options.get("raise_for_status")
    raises = session._raise_for_status if raises is None else raises  # noqa: SLF001 - as above
    if callable(raises):
        told: Any = raises(response)
        await told
    elif raises:
        response.raise_for_status()
    return response


def _unsent(session: Any, method: str, url: Any, headers: Any) -> Any:
    """Build the response of a request that is not sent; what it takes differs by version."""
    aiohttp = sys.modules["aiohttp"]
    made = aiohttp.ClientResponse
    parts = {
        "writer": None,
        "continue100": None,
        "timer": sys.modules["aiohttp.helpers"].TimerNoop(),
        "request_info": aiohttp.RequestInfo(url, method, headers, url),
        "traces": [],
        "loop": session._loop,  # noqa: SLF001 - as its own responses have it
        "session": session,
        "stream_writer": _Written(),
    }
    wanted = inspect.signature(made.__init__).parameters
    return made(method, url, **{name: parts[name] for name in parts if name in wanted})
