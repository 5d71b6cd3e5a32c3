"""`wrap(client)`: find the HTTP clients inside an SDK client and watch only those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tokenmeter.capture.taps import httpx as httpx_tap
from tokenmeter.errors import UnknownClientError

_SEND = "send"


def wrap_client(client: Any, find_sink: httpx_tap.FindSink) -> None:
    """Watch every HTTP client inside `client`; raises UnknownClientError if there is none."""
    found = list(_http_clients(client))
    if not found:
        raise UnknownClientError(
            f"cannot wrap a {type(client).__module__}.{type(client).__qualname__}; pass an "
            "OpenAI, Anthropic, google.genai.Client, httpx.Client or httpx2.Client object, "
            "or call tokenmeter.instrument() to meter every known call"
        )
    for inner, is_async in found:
        _watch(inner, find_sink, is_async=is_async)


def _watch(client: Any, find_sink: httpx_tap.FindSink, *, is_async: bool) -> None:
    import wrapt  # here to keep our import light: it brings asyncio and email

    make = httpx_tap.async_wrapper if is_async else httpx_tap.sync_wrapper
    before = client.__dict__.get(_SEND)
    if isinstance(before, wrapt.BoundFunctionWrapper | wrapt.FunctionWrapper):
        before = before.__wrapped__  # wrapped before: the latest meter takes its place
    original: Callable[..., Any] = before if before is not None else getattr(client, _SEND)
    setattr(client, _SEND, wrapt.FunctionWrapper(original, make(find_sink)))


def _http_clients(client: Any) -> Iterator[tuple[Any, bool]]:
    """Yield (httpx client, is async) for each HTTP client that `client` is or holds."""
    kind = _kind(client)
    if kind is not None:
        yield client, kind
        return
    inner = getattr(client, "_client", None)  # openai, anthropic
    if _kind(inner) is not None:
        yield inner, bool(_kind(inner))
        return
    api_client = getattr(client, "_api_client", None)  # google-genai, client and client.aio
    for name in ("_httpx_client", "_async_httpx_client"):
        inner = getattr(api_client, name, None)
        if _kind(inner) is not None:
            yield inner, bool(_kind(inner))


def _kind(client: object) -> bool | None:
    """Return True for an async httpx(2) client, False for a sync one, None for anything else."""
    for cls in type(client).__mro__:
        if cls.__module__.partition(".")[0] in httpx_tap.LIBRARIES:
            if cls.__name__ == "AsyncClient":
                return True
            if cls.__name__ == "Client":
                return False
    return None
