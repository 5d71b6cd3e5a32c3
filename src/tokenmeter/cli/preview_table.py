"""A quote as a table."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tokenmeter.cli.tables import (
    COST_DECIMALS_MAX,
    COST_DECIMALS_MIN,
    console,
    cost_cell,
    print_whole,
    quantity,
    shown,
    table,
)
from tokenmeter.money import Money
from tokenmeter.pricing.priced import AMOUNTS
from tokenmeter.pricing.quote import Quote, Range

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def print_quote(quote: Quote) -> None:
    """Print what a call will come to, line by line, and what that rests on."""
    out = console()
    ranges = [("cost", quote.cost), ("charge", quote.charge)]
    known = [found for _, found in ranges if found is not None]
    decimals = max(_decimals(money.amount) for found in known for money in _ends(found))
    totals = table(
        ["", "low", "expected", "high", "currency"], numbers=("low", "expected", "high")
    )
    for name, found in ranges:
        if found is not None:
            cells = [_cell(money, decimals) for money in _ends(found)]
            totals.add_row(name, *cells, found.expected.currency.upper())
    print_whole(out, totals)
    if quote.lines:
        print_whole(out, _lines(quote))
    out.print(shown(f"Based on: {quote.basis}"), soft_wrap=True)
    for note in quote.notes:
        out.print(shown(f"Note: {note}"), soft_wrap=True)


def _lines(quote: Quote) -> Table:
    decimals = max(_decimals(line.amount) for line in quote.lines)
    found = table(
        ["metric", "quantity", "rate", "per", "cost"], numbers=("quantity", "rate", "per", "cost")
    )
    for line in quote.lines:
        rate = cost_cell(line.rate, unpriced=0, decimals=_decimals(line.rate))
        cost = cost_cell(line.amount, unpriced=0, decimals=decimals)
        found.add_row(line.metric, quantity(line.quantity), rate, quantity(line.per), cost)
    return found


def _ends(found: Range) -> tuple[Money, Money, Money]:
    return found.low, found.expected, found.high


def _cell(money: Money, decimals: int) -> Text:
    return cost_cell(money.amount, unpriced=0, decimals=decimals)


def _decimals(amount: Decimal) -> int:
    """Count the decimals that an amount has: a quote is not rounded."""
    exponent = amount.normalize(AMOUNTS).as_tuple().exponent
    exact = -exponent if isinstance(exponent, int) else 0
    return min(max(exact, COST_DECIMALS_MIN), COST_DECIMALS_MAX)
