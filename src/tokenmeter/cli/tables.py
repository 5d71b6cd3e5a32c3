"""Tables for people: aligned numbers, exact costs, full width when nobody looks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tokenmeter.usage import Number

PIPE_WIDTH = 240
COST_DECIMALS_MIN = 2
COST_DECIMALS_MAX = 12
COST_DIGITS = 3  # the smallest cost of a column shows at least these
DASH = "-"  # where there is no value
TEXT_WIDTH_MIN = 8  # a text column may fold, but not to nothing
UNPRICED = "unpriced"
_WIDE = Context(prec=120)  # a cost of any size can be written


def console() -> Console:
    """Return a console that does not cut columns when its output is piped or kept."""
    found = Console()
    if found.is_terminal or "COLUMNS" in os.environ:
        return found
    return Console(width=PIPE_WIDTH)


def no_events(environment: str) -> str:
    """Say that nothing matches; two things are called environment, and only one is asked for."""
    if not environment:
        return "No events match."
    return (
        f"No events came with a server's key of the environment {environment!r}. What "
        "attribute(environment=...) says is a property: tokenmeter usage --by environment"
    )


def print_whole(screen: Console, made: Table) -> None:
    """Print a table; on a screen too narrow for it lines wrap, but no name or number is cut."""
    frame = 2 * len(made.columns) + 1
    screen.width = max(screen.width, frame + sum(map(_width_min, made.columns)))
    screen.print(made)


def table(names: Iterable[str], *, numbers: Iterable[str]) -> Table:
    """Return an empty table with a column per name; those of `numbers` are right-aligned."""
    made = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    right = frozenset(numbers)
    for name in names:
        if name in right:
            made.add_column(name, justify="right", no_wrap=True)
        else:
            made.add_column(name, overflow="fold", min_width=min(TEXT_WIDTH_MIN, len(name)))
    return made


def shown(text: str | None) -> Text:
    """
    Write a text that came from outside: no markup, no control characters.

    A dash stands where the events do not say.
    """
    if text is None:
        return Text(DASH, style="dim")
    return Text("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def quantity(number: Number | None) -> str:
    """Write a quantity with thousands separators: 12,345 and 1,024.5."""
    if number is None:
        return DASH
    return f"{number:,}" if isinstance(number, int) else f"{number:,f}"


def cost_decimals(costs: Iterable[Decimal | None]) -> int:
    """
    Return how many decimals a column of costs needs for its smallest to say something.

    0.17 and 12.5 need 2; 0.0000123 beside them makes it 7.
    """
    return max((_decimals(cost) for cost in costs if cost), default=COST_DECIMALS_MIN)


def cost_cell(cost: Decimal | None, *, unpriced: int, decimals: int) -> Text:
    """Write a cost in USD; what has no price says so, and never reads as 0."""
    if cost is None:
        return Text(UNPRICED, style="yellow") if unpriced else Text(DASH)
    rounded = cost.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _WIDE)
    return Text(f"{rounded:,f}")


def _width_min(column: Column) -> int:
    """Return what a column cannot do without: a text folds, a number does not."""
    if not column.no_wrap:
        return column.min_width or 0
    return max(len(str(cell)) for cell in (column.header, *column.cells))


def _decimals(cost: Decimal) -> int:
    """Count the decimals a cost has, or those that show COST_DIGITS digits if that is fewer."""
    exponent = cost.normalize(_WIDE).as_tuple().exponent
    exact = -exponent if isinstance(exponent, int) else 0
    telling = COST_DIGITS - 1 - cost.adjusted()
    return min(max(min(exact, telling), COST_DECIMALS_MIN), COST_DECIMALS_MAX)
