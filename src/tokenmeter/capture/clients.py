"""`wrap(client)`: find the HTTP clients inside an SDK client and watch only those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wrapt

from tokenmeter.capture.taps import aiohttp, botocore, httpx, requests
from tokenmeter.capture.taps.httpx import FindSink
from tokenmeter.errors import UnknownClientError

# Library and class -> the method that every request goes through, and what goes around it.
_METHODS: dict[tuple[str, str], tuple[str, Callable[[FindSink], Callable[..., Any]]]] = {
    **{(library, "Client"): ("send", httpx.sync_wrapper) for library in httpx.LIBRARIES},
    **{(library, "AsyncClient"): ("send", httpx.async_wrapper) for library in httpx.LIBRARIES},
    ("requests", "Session"): ("send", requests.wrapper),
    ("aiohttp", "ClientSession"): ("_request", aiohttp.wrapper),
    ("botocore", "URLLib3Session"): ("send", botocore.wrapper),
}

# Where the clients of SDKs keep those that send.
_INSIDE = (
    ("_client",),  # openai, anthropic
    ("_api_client", "_httpx_client"),  # google-genai, client and client.aio
    ("_api_client", "_async_httpx_client"),
    ("_endpoint", "http_session"),  # a client of boto3 or botocore
    ("meta", "client", "_endpoint", "http_session"),  # a resource of boto3
)


def wrap_client(client: Any, find_sink: FindSink) -> None:
    """Watch every HTTP client inside `client`; raises UnknownClientError if there is none."""
    inside = (_held(client, path) for path in ((), *_INSIDE))
    found = [watch_one(inner, find_sink) for inner in inside]
    found.append(_watch_when_made(getattr(client, "_api_client", None), find_sink))
    if not any(found):
        raise UnknownClientError(
            f"cannot wrap a {type(client).__module__}.{type(client).__qualname__}; pass a client "
            "of openai, anthropic, google.genai or boto3, a Client of httpx or httpx2, a "
            "requests.Session or an aiohttp.ClientSession, or call tokenmeter.instrument() to "
            "meter every known call"
        )


def watch_one(client: Any, find_sink: FindSink) -> bool:
    """Watch an HTTP client; False if it is none."""
    for cls in type(client).__mro__:
        known = _METHODS.get((cls.__module__.partition(".")[0], cls.__name__))
        if known is not None:
            method, make = known
            _put_around(client, method, make(find_sink))
            return True
    return False


def _held(client: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        client = getattr(client, name, None)
    return client


def _put_around(owner: Any, method: str, wrapper: Callable[..., Any]) -> None:
    before = vars(owner).get(method)
    if isinstance(before, wrapt.BoundFunctionWrapper | wrapt.FunctionWrapper):
        before = before.__wrapped__  # wrapped before: the latest meter takes its place
    original: Callable[..., Any] = before if before is not None else getattr(owner, method)
    # Not setattr: aiohttp warns of attributes that it does not know.
    vars(owner)[method] = wrapt.FunctionWrapper(original, wrapper)


def _watch_when_made(api_client: Any, find_sink: FindSink) -> bool:
    """Watch the aiohttp sessions that google-genai makes, one per loop, when it needs them."""
    if not hasattr(api_client, "_get_aiohttp_session"):
        return False

    async def watched(making: Any) -> Any:
        session = await making
        watch_one(session, find_sink)
        return session

    def get(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return watched(wrapped(*args, **kwargs))

    _put_around(api_client, "_get_aiohttp_session", get)
    return True
