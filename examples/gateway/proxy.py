"""The reverse proxy: it forwards a request, and the answer's bytes as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import httpx2
from starlette.background import BackgroundTask
from starlette.requests import Request  # noqa: TC002 - read when the route is made
from starlette.responses import JSONResponse, Response, StreamingResponse

from tokenmeter.asgi import Incoming

from .upstreams import Upstream, upstream_of

BODY_BYTES_MAX = 32 * 1024 * 1024
TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
LIMITS = httpx2.Limits(max_connections=1_000, max_keepalive_connections=200)

# Of one connection only (RFC 9110, 7.6.1), or written anew by the client library.
_HOPS = frozenset(
    {
        *("connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade", "content-length"),
    }
)
# What proves who the client is, to us and to nobody else.
_SECRETS = frozenset(["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"])

GoesTo = Callable[[str, Mapping[str, str]], tuple[Upstream, str]]


class Proxy:
    """Forwards every request to its provider through one connection pool."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        knows: Callable[[Incoming], object],
        goes_to: GoesTo = upstream_of,
    ) -> None:
        self._client = client
        self._knows = knows
        self._goes_to = goes_to

    async def forward(self, request: Request) -> Response:
        """Answer one request with what its provider answers."""
        if not self._knows(Incoming(request.scope)):  # also where nothing is metered
            return JSONResponse({"error": {"message": "send the key you were given"}}, 401)
        if int(request.headers.get("content-length") or 0) > BODY_BYTES_MAX:
            return JSONResponse({"error": {"message": "the body is too large"}}, 413)
        path = request.scope["path"]
        upstream, path = self._goes_to(path, request.headers)
        sent = self._client.build_request(
            request.method,
            httpx2.URL(upstream.base_url + path, params=_query(request)),
            headers={**_kept(request.headers.items(), _HOPS | _SECRETS), **upstream.headers()},
            content=await request.body(),
        )
        try:
            answer = await self._client.send(sent, stream=True)
        except httpx2.HTTPError as error:
            message = f"the provider cannot be reached: {type(error).__name__}"
            return JSONResponse({"error": {"message": message, "type": "upstream_error"}}, 502)
        return _passed_on(answer)


def _passed_on(answer: httpx2.Response) -> Response:
    headers = _kept(answer.headers.items(), _HOPS - {"content-length"})
    if "event-stream" in answer.headers.get("content-type", ""):
        headers.pop("content-length", None)  # the usage chunk that we asked for is taken out
    return StreamingResponse(
        _bytes(answer), answer.status_code, headers, background=BackgroundTask(answer.aclose)
    )


async def _bytes(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()  # also when the client is gone: the provider stops, too


def _query(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if name != "key"]


def _kept(headers: Iterable[tuple[str, str]], dropped: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in dropped}
