"""`tokenmeter catalog`: meters, plans and prices as one file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.provisioning import Provision, exported, provision
from tokenmeter.cli.reading import AsJson, Backend, open_engine, print_json

if TYPE_CHECKING:
    from tokenmeter.engine.catalog import Change
    from tokenmeter.engine.catalog_file import CatalogFile
    from tokenmeter.engine.local import Engine

app = typer.Typer(
    help="Meters, plans and prices as one file.", no_args_is_help=True, add_completion=False
)

_SIGNS = {"create": "+", "update": "~", "archive": "-"}

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A catalog file, or a bundled one: studio, llm.")
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="URL", help="A Flexprice account, such as flexprice://us, not a database."
    ),
]
Prune = Annotated[bool, typer.Option("--prune", help="Also archive what the file does not name.")]


@app.command()
def validate(file: File, *, as_json: AsJson = False) -> None:
    """Check a catalog file; a mistake is shown with its line."""
    catalog = _load(file)
    counted = Counter(entry.kind for entry in catalog.entries)
    if as_json:
        print_json({"name": catalog.name, "counts": dict(counted)})
        return
    typer.echo(f"{catalog.name}: {', '.join(f'{n} {kind}' for kind, n in counted.items())}")


@app.command()
def plan(
    file: File,
    *,
    backend: Backend = None,
    to: To = None,
    prune: Prune = False,
    as_json: AsJson = False,
) -> None:
    """Show what `apply` would change; nothing is changed."""
    if to is not None:
        provision(file, to, Provision(apply=False, prune=prune, as_json=as_json), _show)
        return
    with open_engine(backend, create=True) as engine:
        changes = engine.catalog.plan(_load(file), prune=prune)
    _show(changes, as_json=as_json)


@app.command()
def apply(
    file: File,
    *,
    backend: Backend = None,
    to: To = None,
    prune: Prune = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database, or an account, to what the file says; show what was changed."""
    if to is not None:
        provision(file, to, Provision(apply=True, prune=prune, as_json=as_json), _show)
        return
    with open_engine(backend, create=True) as engine:
        changes = engine.catalog.apply(_load(file), prune=prune)
        counted = _backfill(engine) if changes else 0
    _show(changes, as_json=as_json)
    if counted and not as_json:
        typer.echo(f"{counted} events that were stored before are counted by the new meters")


@app.command()
def export(
    *,
    backend: Backend = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="A Flexprice account to read.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write here, not to the screen.")
    ] = None,
) -> None:
    """Write the definitions of the database, or of an account, as a catalog file."""
    if source is not None:
        text = exported(source)
    else:
        with open_engine(backend) as engine:
            text = engine.catalog.export()
    if to is None:
        typer.echo(text, nl=False)
    else:
        to.write_text(text, encoding="utf-8")


def _backfill(engine: Engine) -> int:
    """Count for new meters what came before them; a bar on a terminal tells how far it is."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("counting for new meters", total=None)
        return engine.backfill(lambda done: bar.advance(task, done))


def _load(file: str) -> CatalogFile:
    from tokenmeter.engine.catalog_file import load

    return load(file)


def _show(changes: list[Change], *, as_json: bool) -> None:
    if as_json:
        print_json([_plain(change) for change in changes])
        return
    for change in changes:
        typer.echo(f"{_SIGNS[change.action]} {change.kind} {change.key}")
        for name, (before, after) in change.differs.items():
            typer.echo(f"    {name}: {_said(before)} -> {_said(after)}")
    counted = Counter(str(change.action) for change in changes)
    typer.echo(", ".join(f"{n} to {action}" for action, n in counted.items()) or "no changes")


def _plain(change: Change) -> dict[str, Any]:
    differs = {k: {"before": b, "after": a} for k, (b, a) in change.differs.items()}
    return {
        "action": str(change.action),
        "kind": change.kind,
        "key": change.key,
        "differs": differs,
    }


def _said(value: object) -> str:
    return "-" if value is None else str(value)
