"""`tokenmeter keys`: the API keys of the server, by environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import AsJson, Backend, open_engine, print_json

if TYPE_CHECKING:
    from tokenmeter.engine.keys import ApiKey

app = typer.Typer(help="The API keys of the server.", no_args_is_help=True, add_completion=False)

Environment = Annotated[
    str, typer.Option("--environment", metavar="NAME", help="The environment of the keys.")
]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="ingest, read or admin; may be given several times."),
]
KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` has it.")]


@app.command("create")
def create(
    name: KeyName,
    *,
    scope: Scopes = None,
    environment: Environment = "",
    db: Backend = None,
) -> None:
    """Make a key and print it, the only time that it is shown."""
    with open_engine(db, create=True) as engine:
        from tokenmeter.engine.keys import ApiKeys, scopes_of

        scopes = scopes_of(scope or ["ingest"])
        made = ApiKeys(engine.store).create(environment, scopes, name=name)
    typer.echo(made.secret)


@app.command("list")
def show(*, environment: Environment = "", db: Backend = None, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    with open_engine(db) as engine:
        from tokenmeter.engine.keys import ApiKeys

        keys = [_plain(key) for key in ApiKeys(engine.store).list(environment)]
    if as_json:
        print_json(keys)
        return
    for key in keys:
        state = "revoked" if key["revoked_at"] else ",".join(key["scopes"])
        typer.echo(f"{key['id']}  {key['prefix']}…  {state:<12}  {key['name']}")


@app.command("revoke")
def revoke(key_id: KeyId, *, environment: Environment = "", db: Backend = None) -> None:
    """Take a key back, at once."""
    with open_engine(db) as engine:
        from tokenmeter.engine.keys import ApiKeys

        ApiKeys(engine.store).revoke(environment, key_id)
    typer.echo(f"{key_id} opens nothing any more")


def _plain(key: ApiKey) -> dict[str, Any]:
    times = {
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
    return {
        "id": key.key_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        **{name: None if at is None else at.isoformat() for name, at in times.items()},
    }
