"""The tables that `tokenmeter events` prints; the demo prints the first too."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
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
from tokenmeter.engine.store.events import Conflict
from tokenmeter.event import Event
from tokenmeter.usage import Number

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# How a metric reads in the one-line summary of an event, in this order.
UNITS = {
    "input_tokens": "in",
    "cache_read_tokens": "cached",
    "output_tokens": "out",
    "reasoning_tokens": "reasoning",
    "tokens": "tokens",
    "image_count": "images",
    "video_seconds": "s video",
    "video_jobs": "videos",
    "world_count": "worlds",
    "audio_seconds": "s audio",
    "characters": "characters",
    "time_seconds": "s",
}
OUTCOME_STYLES = {"failed": "red", "cancelled": "yellow", "unknown": "yellow"}
TITLES = ("Time (UTC)", "Customer", "Event", "Model", "Try", "Outcome", "Usage", "Cost USD")
NUMBERS = ("Try", "Cost USD")


def print_events(events: Sequence[Event], environment: str = "") -> None:
    """Print events as a table."""
    screen = console()
    if events:
        print_whole(screen, event_table(events))
    else:
        screen.print(no_events(environment))


def print_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Print the copies that differed from their stored event."""
    screen = console()
    if not conflicts:
        screen.print("No event came twice with other contents.")
        return
    made = table(("Event id", "Environment", "Difference"), numbers=())
    for found in conflicts:
        environment = shown(found.environment or None)
        made.add_row(shown(found.event_id), environment, shown(found.difference))
    print_whole(screen, made)


def event_table(events: Sequence[Event]) -> Table:
    """Return events as a table, in their order."""
    costs = [_cost(event) for event in events]
    decimals = cost_decimals(costs)
    made = table(TITLES, numbers=NUMBERS)
    for event, cost in zip(events, costs, strict=True):
        made.add_row(
            shown(event.timestamp.strftime("%m-%d %H:%M:%S")),
            shown(event.external_customer_id),
            shown(event.event_name),
            shown(_text(event, "model") or _text(event, "request_model")),
            shown(_text(event, "attempt")),
            _outcome(event),
            shown(summary(event)),
            cost_cell(cost, unpriced=_may_cost(event), decimals=decimals),
        )
    return made


def summary(event: Event) -> str:
    """Write what an event used in one line: ``1,200 in · 4,160 out``."""
    usage = event.usage
    parts = [f"{quantity(usage[name])} {unit}" for name, unit in UNITS.items() if usage.get(name)]
    return " · ".join(parts) or "no usage"


def _outcome(event: Event) -> Text:
    outcome = _text(event, "outcome")
    found = shown(outcome)
    found.stylize(OUTCOME_STYLES.get(outcome or "", ""))
    billed = _text(event, "billable") != "false"
    if billed == (outcome in {"failed", "unknown"}):  # not what one expects
        found.append(", billed" if billed else ", unbilled", style="dim")
    return found


def _may_cost(event: Event) -> int:
    """A failed attempt without usage costs nothing; anything else without a cost is unpriced."""
    unused = _text(event, "usage_source") in {None, "missing"}
    return 0 if _text(event, "outcome") == "failed" and unused else 1


def _cost(event: Event) -> Decimal | None:
    written: str | Number | None = event.properties.get("cost_usd")
    try:
        return None if written is None else Decimal(written)
    except InvalidOperation:
        return None


def _text(event: Event, name: str) -> str | None:
    value = event.properties.get(name)
    return None if value is None else str(value)
