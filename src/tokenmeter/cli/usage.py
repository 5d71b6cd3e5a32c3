"""`tokenmeter usage`: what was used and what it cost, by customer, model, time, ..."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import (
    AsJson,
    Backend,
    Customer,
    Environment,
    Since,
    Until,
    instant,
    known_dimensions,
    open_engine,
    print_json,
)

if TYPE_CHECKING:
    from tokenmeter.engine.query import UsageRow

app = typer.Typer(add_completion=False)


class WindowSize(StrEnum):
    """How long one row of the table is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


_TIME_FORMATS = {
    WindowSize.MINUTE: "%Y-%m-%d %H:%M",
    WindowSize.HOUR: "%Y-%m-%d %H:%M",
    WindowSize.DAY: "%Y-%m-%d",
    WindowSize.MONTH: "%Y-%m",
}

By = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Group by these, separated by commas: customer, model, provider, feature, "
        "outcome, environment, event_name, service_tier, or any property.",
    ),
]
Window = Annotated[WindowSize | None, typer.Option(help="Also group by this much time, in UTC.")]


@app.command()
def usage(
    *,
    backend: Backend = None,
    by: By = "customer,model_type",
    window: Window = None,
    since: Since = None,
    until: Until = None,
    customer: Customer = None,
    environment: Environment = "",
    as_json: AsJson = False,
) -> None:
    """Show what was used and what it cost."""
    now = datetime.now(UTC)
    start, end = instant(since, now), instant(until, now)
    with open_engine(backend) as engine:
        names = known_dimensions(engine, [name.strip() for name in by.split(",") if name.strip()])
        rows = engine.usage(
            by=names,
            window=window.value if window else None,
            start=start,
            end=end,
            filters={"customer": customer} if customer is not None else {},
            environment=environment,
        )
        conflicting = bool(engine.conflicts(limit=1))
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    _show(rows, names, window, environment)
    if conflicting:
        typer.echo("Some events came twice and differed: tokenmeter events --conflicts")


def _show(
    rows: list[UsageRow], names: list[str], window: WindowSize | None, environment: str
) -> None:
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.usage_table import print_no_usage, print_usage

    if rows:
        print_usage(rows, names, _TIME_FORMATS[window] if window else None)
    else:
        print_no_usage(environment)


def _plain(row: UsageRow) -> dict[str, Any]:
    start = None if row.window_start is None else row.window_start.isoformat()
    return {
        **({} if start is None else {"window_start": start}),
        "group": dict(row.group),
        "events": row.events,
        "attempts": row.attempts,
        "retries": row.retries,
        "failed": row.failed,
        "billable": row.billable,
        "unbilled": row.unbilled,
        "unpriced": row.unpriced,
        "cost_usd": None if row.cost_usd is None else format(row.cost_usd, "f"),
        "usage": {k: v if isinstance(v, int) else format(v, "f") for k, v in row.usage.items()},
    }
