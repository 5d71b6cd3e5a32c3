"""The gateway: customers by API key, the middleware, and the proxy behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, TokenMeterMiddleware

from .proxy import GoesTo, Proxy, create_client
from .upstreams import PREFIXES, upstream_of

if TYPE_CHECKING:
    import httpx2


class Gateway:
    """The ASGI application: requests go through the middleware to the proxy, and nowhere else."""

    def __init__(self, metered: TokenMeterMiddleware, lifespan: Starlette) -> None:
        self._metered = metered
        self._lifespan = lifespan

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection."""
        app = self._metered if scope["type"] == "http" else self._lifespan
        await app(scope, receive, send)


def create_app(
    meter: TokenMeter,
    keys: Mapping[str, str],
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    goes_to: GoesTo = upstream_of,
    **options: Any,
) -> Gateway:
    """
    Build the gateway. `keys` says which API key belongs to which customer.

    The client of the proxy is wrapped, so what is metered is what the providers were asked and
    what they answered; `options` are the middleware's.
    """
    client = create_client(transport)
    meter.wrap(client)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        yield
        await client.aclose()
        meter.shutdown()

    customers = ApiKeys(keys)
    metered = TokenMeterMiddleware(
        Proxy(client, customers, goes_to),
        customer=customers,
        feature="path",
        prefixes=PREFIXES,
        anonymous=False,
        meter=meter,
        **options,
    )
    return Gateway(metered, Starlette(lifespan=lifespan))
