"""`tokenmeter events`: the stored events, newest first."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tokenmeter.cli.reading import AsJson, Backend, Customer, Environment, open_engine, print_json

if TYPE_CHECKING:
    from tokenmeter.engine.local import Engine
    from tokenmeter.event import Event

app = typer.Typer(add_completion=False)

LIMIT = 20
LIMIT_MAX = 100_000
PAGE = 1_000

Limit = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="Show at most this many.")]


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


Ended = Annotated[Outcome | None, typer.Option(help="Only attempts that ended so.")]
Conflicts = Annotated[
    bool,
    typer.Option(
        "--conflicts", help="Show the copies that differed from the event stored before them."
    ),
]


@app.command()
def events(
    *,
    backend: Backend = None,
    limit: Limit = LIMIT,
    customer: Customer = None,
    outcome: Ended = None,
    environment: Environment = "",
    conflicts: Conflicts = False,
    as_json: AsJson = False,
) -> None:
    """Show the stored events, newest first."""
    named = {"customer": customer, "outcome": outcome}
    filters = {name: value for name, value in named.items() if value is not None}
    with open_engine(backend) as engine:
        if conflicts:
            _show_conflicts(engine, limit=limit, as_json=as_json)
        else:
            found = _newest(engine, filters, limit, environment)
            _show(found, environment, as_json=as_json)


def _newest(engine: Engine, filters: dict[str, str], limit: int, environment: str) -> list[Event]:
    found: list[Event] = []
    cursor: str | None = None
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        page = engine.events(filters=filters, limit=size, cursor=cursor, environment=environment)
        found += page.events
        cursor = page.cursor
        if cursor is None:
            break
    return found


def _show(found: list[Event], environment: str, *, as_json: bool) -> None:
    if as_json:
        print_json([event.to_dict() for event in found])
        return
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.event_table import print_events

    print_events(found, environment)


def _show_conflicts(engine: Engine, *, limit: int, as_json: bool) -> None:
    found = engine.conflicts(limit=limit)
    if as_json:
        print_json([conflict._asdict() for conflict in found])
        return
    from tokenmeter.cli.event_table import print_conflicts

    print_conflicts(found)
