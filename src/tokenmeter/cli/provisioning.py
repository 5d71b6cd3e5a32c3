"""`tokenmeter catalog plan|apply --to flexprice://us`: a catalog into somebody's account."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tokenmeter.engine.catalog import Change
    from tokenmeter.engine.cloud_target import CloudTarget

EXIT_LEFT_OUT = 1  # something of the file cannot be said there


@dataclass(frozen=True, slots=True)
class Provision:
    """How to provision: only show it, or do it."""

    apply: bool
    prune: bool
    as_json: bool


def provision(file: str, url: str, how: Provision, show: Callable[..., None]) -> None:
    """Show what differs between the file and the account, and make it so if wanted."""
    from tokenmeter.engine.catalog import apply, plan  # slow, and --help does not need it
    from tokenmeter.engine.catalog_file import load
    from tokenmeter.engine.cloud_catalog import for_cloud

    expanded = for_cloud(load(file))
    with _opened(url) as target:
        changes: list[Change] = plan(expanded.catalog, target, prune=how.prune)
        if how.apply:
            apply(changes, target)
            target.finish()
    for note in expanded.notes:
        typer.echo(f"note: {note}", err=True)
    for what in expanded.left_out:
        typer.echo(f"left out: {what}", err=True)
    show(changes, as_json=how.as_json)
    if expanded.left_out:
        raise typer.Exit(EXIT_LEFT_OUT)


def exported(url: str) -> str:
    """Read an account as the text of a catalog file."""
    from tokenmeter.engine.catalog import entries_of
    from tokenmeter.engine.catalog_text import to_yaml

    with _opened(url) as target:
        return to_yaml("exported", entries_of(target))


@contextlib.contextmanager
def _opened(url: str) -> Generator[CloudTarget]:
    from tokenmeter.engine.cloud_target import CloudTarget

    target = CloudTarget(url)
    try:
        yield target
    finally:
        target.close()
