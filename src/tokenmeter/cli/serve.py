"""`tokenmeter serve`: the engine behind Flexprice's REST API."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Annotated

import typer

from tokenmeter.cli.listening import listening, port_of
from tokenmeter.cli.reading import open_engine
from tokenmeter.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from tokenmeter.engine.keys import ApiKeys

KEY_VARIABLE = "TOKENMETER_API_KEY"
DRAIN_S_MAX = 10  # for requests that run when the server is told to stop

app = typer.Typer(add_completion=False)

Database = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="The database, such as sqlite:///usage.db; it is made if it is not there. "
        "Default: TOKENMETER_BACKEND, else usage.db in the state directory.",
    ),
]
Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is every one.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Environment = Annotated[
    str, typer.Option(metavar="NAME", help="The environment that the first key is bound to.")
]


@app.command()
def serve(
    *,
    db: Database = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    environment: Environment = "",
) -> None:
    """Serve Flexprice's REST API from a local database."""
    try:
        import uvicorn

        from tokenmeter.server.app import create_app
    except ImportError as error:
        raise MissingExtraError(
            'the server is not installed; run: pip install "tokenmeter[server]"'
        ) from error
    from tokenmeter.engine.keys import ApiKeys

    with listening(host, port) as sockets, open_engine(db, create=True) as engine:
        made = first_key(ApiKeys(engine.store), environment, os.environ.get(KEY_VARIABLE))
        if made is not None:
            typer.echo(f"The first admin key, shown only now: {made}")
        typer.echo(f"Serving {engine.store.name} at {origin(host, port_of(sockets))}/v1", err=True)
        settings = uvicorn.Config(
            create_app(engine),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=DRAIN_S_MAX,
        )
        with contextlib.suppress(KeyboardInterrupt):  # as uvicorn.run() does
            uvicorn.Server(settings).run(sockets=sockets)


def origin(host: str, port: int) -> str:
    """Return the URL of what listens there; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def first_key(keys: ApiKeys, environment: str, named: str | None) -> str | None:
    """
    Keep the admin key that the environment variable names; without one make it, once.

    Return the secret that was made, which nobody can show again.
    """
    from tokenmeter.engine.clock import system_clock
    from tokenmeter.engine.keys import Scope

    if named:
        key = keys.ensure(environment, named)
        if key.environment != environment or not key.is_valid(system_clock()):
            raise ConfigurationError(
                f"{KEY_VARIABLE} names a key that is revoked, or of another environment"
            )
        return None
    if keys.list(environment):
        return None
    return keys.create(environment, [Scope.ADMIN], name="first").secret
