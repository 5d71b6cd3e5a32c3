"""The application: routes over one engine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.local import Engine
from tokenmeter.server import errors
from tokenmeter.server.desk import Office
from tokenmeter.server.routes import ROUTERS, health
from tokenmeter.server.wire import Reply

PREFIX = "/v1"


def create_app(engine: Engine, *, now: Clock = system_clock) -> FastAPI:
    """
    Build the server's ASGI application over an engine.

    Every route but `GET /health` and `/openapi.json` needs an API key of `engine.keys`.
    """

    @contextlib.asynccontextmanager
    async def until_closed(app: FastAPI) -> AsyncGenerator[None]:
        yield
        app.state.office.close()

    app = FastAPI(
        lifespan=until_closed,
        title="tokenmeter",
        version=version("tokenmeter"),
        summary="Flexprice's REST API over the local metering and rating engine.",
        default_response_class=Reply,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.office = Office(engine, now)
    errors.install(app)
    api = APIRouter(prefix=PREFIX)
    for router in ROUTERS:
        api.include_router(router)
    app.include_router(api)
    app.include_router(health.router)
    return app
