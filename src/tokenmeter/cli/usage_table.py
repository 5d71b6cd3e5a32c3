"""The table that `tokenmeter usage` prints; the demo prints it too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

from tokenmeter.cli.tables import (
    console,
    cost_cell,
    cost_decimals,
    no_events,
    print_whole,
    quantity,
    shown,
    table,
)
from tokenmeter.engine.query import UsageRow

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

# The metrics that get a column, in this order, if any row has them; --json shows all.
METRIC_TITLES = {
    "input_tokens": "Input",
    "cache_read_tokens": "Cached",
    "output_tokens": "Output",
    "tokens": "Tokens",
    "image_count": "Images",
    "video_seconds": "Video s",
    "video_jobs": "Videos",
    "world_count": "Worlds",
    "audio_seconds": "Audio s",
    "characters": "Characters",
    "time_seconds": "Time s",
}
# The counts that get a column if any row has them; events always do.
COUNT_TITLES: dict[str, Callable[[UsageRow], int]] = {
    "Retries": lambda row: row.retries,
    "Failed": lambda row: row.failed,
    "Unbilled": lambda row: row.unbilled,
    "Unpriced": lambda row: row.unpriced,
}
COST_TITLE = "Cost USD"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of numbers: its title and what it shows of a row."""

    title: str
    cell: Callable[[UsageRow], RenderableType]


def print_usage(
    rows: Sequence[UsageRow], dimensions: Sequence[str], time_format: str | None = None
) -> None:
    """Print the rows of a usage report, their total, and what is unpriced."""
    screen = console()
    print_whole(screen, usage_table(rows, dimensions, time_format=time_format))
    unpriced = sum(row.unpriced for row in rows)
    if unpriced:
        screen.print(f"{unpriced:,} unpriced: no cost is known for them, and none is counted.")


def print_no_usage(environment: str) -> None:
    """Say that nothing matches."""
    console().print(no_events(environment))


def usage_table(
    rows: Sequence[UsageRow], dimensions: Sequence[str], *, time_format: str | None = None
) -> Table:
    """Return the rows of a usage report as a table with a total."""
    columns = _columns(rows)
    titles = [*_times("Time (UTC)", time_format), *map(_title, dimensions)]
    numbers = [column.title for column in columns]
    made = table([*titles, *numbers], numbers=numbers)
    for row in rows:
        start = row.window_start.strftime(time_format or "") if row.window_start else ""
        keys = [*_times(start, time_format), *map(row.group.get, dimensions)]
        made.add_row(*map(shown, keys), *_cells(columns, row))
    if titles and len(rows) > 1:
        made.add_section()
        blank = ["Total", *[""] * (len(titles) - 1)]
        made.add_row(*map(shown, blank), *_cells(columns, total(rows)), style="bold")
    return made


def total(rows: Sequence[UsageRow]) -> UsageRow:
    """Add up rows; the cost is that of what is priced, or None if nothing is."""
    return reduce(_together, rows)


def _together(one: UsageRow, other: UsageRow) -> UsageRow:
    costs = [cost for cost in (one.cost_usd, other.cost_usd) if cost is not None]
    return UsageRow(
        group={},
        window_start=None,
        events=one.events + other.events,
        attempts=one.attempts + other.attempts,
        retries=one.retries + other.retries,
        failed=one.failed + other.failed,
        billable=one.billable + other.billable,
        unpriced=one.unpriced + other.unpriced,
        cost_usd=sum(costs, Decimal()) if costs else None,
        usage=one.usage + other.usage,
    )


def _cells(columns: Sequence[_Column], row: UsageRow) -> list[RenderableType]:
    return [column.cell(row) for column in columns]


def _times(text: str, time_format: str | None) -> list[str]:
    """Return the time column's text, if there is a time column."""
    return [] if time_format is None else [text]


def _columns(rows: Sequence[UsageRow]) -> list[_Column]:
    """Choose the columns that have something to show."""
    decimals = cost_decimals([*(row.cost_usd for row in rows), total(rows).cost_usd])
    counts = (_count(title, of) for title, of in COUNT_TITLES.items() if _says(title, of, rows))
    metrics = (
        _metric(title, name)
        for name, title in METRIC_TITLES.items()
        if any(row.usage.get(name) for row in rows)
    )
    cost = _Column(
        COST_TITLE,
        lambda row: cost_cell(row.cost_usd, unpriced=row.unpriced, decimals=decimals),
    )
    return [_count("Events", lambda row: row.events), *metrics, *counts, cost]


def _says(title: str, of: Callable[[UsageRow], int], rows: Sequence[UsageRow]) -> bool:
    """Failed attempts are unbilled: that column says something only where it differs."""
    if title == "Unbilled" and all(row.unbilled == row.failed for row in rows):
        return False
    return any(map(of, rows))


def _count(title: str, of: Callable[[UsageRow], int]) -> _Column:
    return _Column(title, lambda row: quantity(of(row)))


def _metric(title: str, name: str) -> _Column:
    return _Column(title, lambda row: quantity(row.usage.get(name)))


def _title(dimension: str) -> str:
    if dimension == "model_type":
        return "Model"
    return dimension.replace("_", " ").capitalize() if dimension.isidentifier() else dimension
