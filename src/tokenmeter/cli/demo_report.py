"""What the demo says: its events, usage by customer and model, the cost of failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tokenmeter.cli.tables import cost_cell, cost_decimals, quantity, shown
from tokenmeter.cli.usage_table import total
from tokenmeter.engine.query import UsageRow
from tokenmeter.event import Event
from tokenmeter.usage import NOTHING, Usage

if TYPE_CHECKING:
    from rich.console import Console

FULL_WIDTH = 100  # a narrower screen gets fewer columns
ESTIMATED = "~"  # stands before what the provider did not report
COST = "Cost USD"
OUTCOMES = {"failed": "red", "cancelled": "yellow", "unknown": "yellow"}
PARTS = {
    "cache_read_tokens": "Cached",
    "cache_write_tokens": "Written",
    "reasoning_tokens": "Thought",
}
TOKENS = {
    "input_tokens": "Input",
    "cache_read_tokens": PARTS["cache_read_tokens"],
    "cache_write_tokens": PARTS["cache_write_tokens"],
    "output_tokens": "Output",
    "reasoning_tokens": PARTS["reasoning_tokens"],
}
FATES = ("answered at once", "answered after a retry", "left early by the user", "failed")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of some attempts, and what they cost."""

    name: str
    events: tuple[Event, ...]

    @property
    def cost(self) -> Decimal:
        """What is priced of these attempts, added up."""
        return sum((cost_of(event) or Decimal() for event in self.events), Decimal())

    @property
    def billable(self) -> int:
        """The attempts that a customer is billed for."""
        return sum(event.properties.get("billable") != "false" for event in self.events)

    @property
    def usage(self) -> Usage:
        """The usage of these attempts, added up."""
        return reduce(lambda total, event: total + event.usage, self.events, NOTHING)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "fate": self.name,
            "attempts": len(self.events),
            "billable": self.billable,
            "cost_usd": format(self.cost, "f"),
        }


def fates(events: Iterable[Event]) -> list[Fate]:
    """Sort attempts by what became of them; a fate that none met is left out."""
    met: dict[str, list[Event]] = {name: [] for name in FATES}
    for event in events:
        met[_fate(event)].append(event)
    return [Fate(name, tuple(found)) for name, found in met.items() if found]


def _fate(event: Event) -> str:
    outcome = event.properties.get("outcome")
    if outcome == "success":
        return FATES[1] if event.properties.get("is_retry") == "true" else FATES[0]
    return FATES[2] if outcome == "cancelled" else FATES[3]


def cost_of(event: Event) -> Decimal | None:
    """Return what an event cost; None if it is unpriced."""
    written = event.properties.get("cost_usd")
    return None if written is None else Decimal(written)


def print_report(screen: Console, events: Sequence[Event], rows: Sequence[UsageRow]) -> None:
    """Print the three tables and their sum."""
    whole = screen.width >= FULL_WIDTH
    named = {name: title for name, title in TOKENS.items() if whole or name not in PARTS}
    decimals = cost_decimals(cost_of(event) for event in events)
    screen.print(events_table(events, named, decimals))
    if any(_estimated(event, name) for event in events for name in named):
        screen.print(f"{ESTIMATED} estimated: the stream ended before the provider said.")
    screen.print()
    screen.print(customers_table(rows, named, decimals))
    screen.print()
    found = fates(events)
    screen.print(fates_table(found, decimals))
    screen.print()
    screen.print(_sum(events, found))


def events_table(events: Sequence[Event], named: dict[str, str], decimals: int) -> Table:
    """Return a line per event, under its customer."""
    numbers = (*named.values(), COST)
    made = _table("Every attempt is an event", ("Call", "Model", "Try", "Outcome"), numbers)
    customer = None
    for event in events:
        if event.external_customer_id != customer:
            customer = event.external_customer_id
            made.add_row(Text(customer, style="bold"))
        facts = event.properties
        made.add_row(
            Text(f" {facts.get('feature')}"),
            shown(str(facts.get("model_type"))),
            shown(str(facts.get("attempt"))),
            _outcome(event),
            *(_tokens(event, name) for name in named),
            cost_cell(cost_of(event), unpriced=1, decimals=decimals),
        )
    return made


def customers_table(rows: Sequence[UsageRow], named: dict[str, str], decimals: int) -> Table:
    """Return usage and cost per customer and model, with their sums."""
    counts: dict[str, Callable[[UsageRow], int]] = {
        "Events": lambda row: row.events,
        "Failed": lambda row: row.failed,
        "Images": lambda row: int(row.usage.get("image_count", 0)),
    }
    numbers = (*counts, *named.values(), COST)
    made = _table("Usage and cost per customer and model", ("Customer, model",), numbers)

    def add(title: str, row: UsageRow, style: str = "") -> None:
        made.add_row(
            Text(title),
            *(quantity(count(row) or None) for count in counts.values()),
            *(quantity(row.usage.get(name)) for name in named),
            cost_cell(row.cost_usd, unpriced=row.unpriced, decimals=decimals),
            style=style,
        )

    for customer in dict.fromkeys(row.group.get("customer") for row in rows):
        own = [row for row in rows if row.group.get("customer") == customer]
        add(str(customer), total(own), "bold")
        for row in own:
            add(f" {row.group.get('model_type')}", row)
    add("Total", total(rows), "bold")
    return made


def fates_table(found: Sequence[Fate], decimals: int) -> Table:
    """Return what became of the attempts, and what retries and failures cost."""
    spent = sum((fate.cost for fate in found), Decimal())
    numbers = ("Attempts", "Billable", "Input", "Output", COST, "Share")
    made = _table("What retries and failures cost", ("Attempts that were",), numbers)
    for fate in found:
        made.add_row(
            shown(fate.name),
            quantity(len(fate.events)),
            quantity(fate.billable),
            quantity(fate.usage.get("input_tokens")),
            quantity(fate.usage.get("output_tokens")),
            cost_cell(fate.cost, unpriced=0, decimals=decimals),
            share(fate.cost, spent),
        )
    return made


def share(part: Decimal, whole: Decimal) -> str:
    """Write a part of a whole in percent: 1 of 8 is 12.5 %."""
    return f"{part / whole * 100:.1f} %" if whole else "-"


def _sum(events: Sequence[Event], found: Sequence[Fate]) -> str:
    calls = len({event.properties.get("call_id") for event in events})
    customers = len({event.external_customer_id for event in events})
    spent = sum((fate.cost for fate in found), Decimal())
    failed = sum((fate.cost for fate in found if fate.name == FATES[3]), Decimal())
    unpriced = sum(cost_of(event) is None for event in events)
    return (
        f"{len(events)} events of {calls} calls by {customers} customers cost ${spent:.4f}; "
        f"{unpriced or 'none'} unpriced.\n"
        f"Failed attempts cost ${failed:.4f} of it ({share(failed, spent)}), billed to nobody."
    )


def _table(title: str, texts: Iterable[str], numbers: Iterable[str]) -> Table:
    made = Table(
        title=title,
        title_style="bold cyan",
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    for name in texts:
        made.add_column(name, overflow="fold", justify="right" if name == "Try" else "left")
    for name in numbers:
        made.add_column(name, justify="right", no_wrap=True)
    return made


def _outcome(event: Event) -> Text:
    outcome = str(event.properties.get("outcome"))
    status = str(event.properties.get("http_status", ""))
    refused = f" {status}" if status >= "400" else ""
    return Text(outcome + refused, style=OUTCOMES.get(outcome, "green"))


def _tokens(event: Event, name: str) -> Text:
    known = event.usage.get(name)
    mark = ESTIMATED if _estimated(event, name) else ""
    return shown(None if known is None else f"{mark}{quantity(known)}")


def _estimated(event: Event, name: str) -> bool:
    return f"estimated:{name}" in str(event.properties.get("flags", "")).split(",")
