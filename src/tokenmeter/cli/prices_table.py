"""The tables that `tokenmeter prices` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from tokenmeter.cli.tables import console, print_whole, quantity, shown, table
from tokenmeter.engine.query import UsageRow
from tokenmeter.pricing.media import USERS, MediaPrices
from tokenmeter.pricing.media_rows import USD, Row
from tokenmeter.pricing.priced import amount_text

TITLES = ("Provider", "Model", "Per", "For", "USD", "As of", "Note")
MILLION = 10**6


def print_rows(rows: Sequence[Row], book: MediaPrices, now: datetime, *, sources: bool) -> None:
    """Print price rows, one line each."""
    screen = console()
    if not rows:
        screen.print("No price matches.")
        return
    made = table((*TITLES, "Source") if sources else TITLES, numbers=("USD",))
    for row in rows:
        cells = [row.provider, row.model, _per(row), _dimensions(row), _usd(row, book, now)]
        cells += [f"{row.origin.as_of:%Y-%m-%d}", "; ".join(_notes(row))]
        made.add_row(*map(shown, [*cells, row.origin.source] if sources else cells))
    print_whole(screen, made)
    screen.print(f"{len(rows):,} prices of {book.version}. Token prices are genai-prices'.")


def print_check(
    old: Sequence[Row], unpriced: Sequence[UsageRow] | None, book: MediaPrices, *, days: int
) -> None:
    """Print what `tokenmeter prices check` found."""
    screen = console()
    if old:
        made = table(("Provider", "As of", "Prices", "Source"), numbers=("Prices",))
        ages = Counter((row.provider, row.origin.as_of, row.origin.source) for row in old)
        for (provider, as_of, source), count in sorted(ages.items()):
            made.add_row(
                shown(provider), shown(f"{as_of:%Y-%m-%d}"), quantity(count), shown(source)
            )
        screen.print(f"Older than {days} days:")
        print_whole(screen, made)
    if unpriced:
        made = table(("Provider", "Model", "Events", "Reason"), numbers=("Events",))
        for row in unpriced:
            who = map(shown, (row.group["provider"], row.group["model"]))
            made.add_row(*who, quantity(row.unpriced), shown(row.group["unpriced_reason"]))
        screen.print("Without a price:")
        print_whole(screen, made)
    screen.print("; ".join(_summary(old, unpriced, book, days)) + ".")


def _summary(
    old: Sequence[Row], unpriced: Sequence[UsageRow] | None, book: MediaPrices, days: int
) -> Iterator[str]:
    yield f"{len(book.rows):,} prices of {book.version}: {len(old):,} older than {days} days"
    if unpriced is None:
        yield "no events were looked at, name a backend with --backend"
    else:
        yield f"{sum(row.unpriced for row in unpriced):,} events without a price"


def _per(row: Row) -> str:
    unit = "megapixel of " if row.megapixel else ""
    many = {1: "", MILLION: "1M "}.get(row.per, f"{row.per:,} ")
    return f"{many}{unit}{row.metric}"


def _dimensions(row: Row) -> str:
    when = sorted(row.when.items())
    return "; ".join(f"{name} {', '.join(sorted(values))}" for name, values in when)


def _usd(row: Row, book: MediaPrices, now: datetime) -> str:
    amounts = (book.usd(row, amount, now) for amount in (row.price, row.price_max))
    known = [amount_text(amount) for amount in amounts if amount is not None]
    return " to ".join(known) or "unknown"


def _units(row: Row, amount: Decimal) -> str:
    many = "" if row.unit.isupper() else "s"
    return f"{amount_text(amount)} {row.unit}{many}"


def _notes(row: Row) -> Iterator[str]:
    if row.origin.layer == USERS:
        yield "yours"
    if row.basis != "list":
        yield row.basis
    if row.unit != USD and row.price is not None:
        yield _units(row, row.price)
    if row.minimum is not None:
        yield f"at least {_units(row, row.minimum)}"
    if row.beyond:
        yield f"beyond {row.beyond}"
    if row.retired is not None:
        yield f"retired {row.retired:%Y-%m-%d}"
    if row.origin.note:
        yield row.origin.note
