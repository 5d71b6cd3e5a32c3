"""`tokenmeter prices`: what the price lists say, and whether they can still be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import AsJson, Backend, open_engine, print_json
from tokenmeter.config import PRICES_VARIABLE, default_backend_url, prices_file
from tokenmeter.pricing.priced import amount_text

if TYPE_CHECKING:
    from tokenmeter.engine.query import UsageRow
    from tokenmeter.pricing.media import MediaPrices
    from tokenmeter.pricing.media_rows import Row

DAYS = 180
EXIT_FOUND = 1  # there is something to look after

app = typer.Typer(
    help="Show the price lists of media, or check them.",
    no_args_is_help=True,
    add_completion=False,
)

Provider = Annotated[str | None, typer.Option(metavar="NAME", help="Only this provider.")]
Model = Annotated[str | None, typer.Option(metavar="TEXT", help="Only models with this in them.")]
Sources = Annotated[bool, typer.Option("--sources", help="Also show where each price is from.")]
Days = Annotated[int, typer.Option(metavar="N", min=0, help="Name the rows older than this.")]
Prices = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A price list of your own, or the bundled sheet `studio`; its rows go first. "
        f"Default: {PRICES_VARIABLE}.",
    ),
]


@app.command()
def show(
    *,
    provider: Provider = None,
    model: Model = None,
    prices: Prices = None,
    sources: Sources = False,
    as_json: AsJson = False,
) -> None:
    """Show the prices of images, videos and worlds. Token prices are genai-prices'."""
    book, now = _read(prices), datetime.now(UTC)
    rows = [row for row in book.rows if _is_wanted(row, provider, model)]
    if as_json:
        print_json([plain(row, book, now) for row in rows])
        return
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.prices_table import print_rows

    print_rows(rows, book, now, sources=sources)


@app.command()
def check(
    *,
    days: Days = DAYS,
    backend: Backend = None,
    prices: Prices = None,
    as_json: AsJson = False,
) -> None:
    """
    Name prices that are old, and models of stored events that have no price.

    Exit code 1 if there are any.
    """
    book, now = _read(prices), datetime.now(UTC)
    old = [
        row
        for row in book.rows
        if row.origin.as_of < now - timedelta(days=days) and not row.window.is_past(now)
    ]
    unpriced = _unpriced(backend)
    if as_json:
        print_json(
            {
                "old": [plain(row, book, now) for row in old],
                "unpriced": None if unpriced is None else [_seen(row) for row in unpriced],
            }
        )
    else:
        from tokenmeter.cli.prices_table import print_check

        print_check(old, unpriced, book, days=days)
    if old or unpriced:
        raise typer.Exit(EXIT_FOUND)


def plain(row: Row, book: MediaPrices, now: datetime) -> dict[str, Any]:
    """Return all that a row says, for programs."""
    price, most = (book.usd(row, amount, now) for amount in (row.price, row.price_max))
    dates = {name: moment and f"{moment:%Y-%m-%d}" for name, moment in _dates(row).items()}
    facts: dict[str, Any] = {
        "provider": row.provider,
        "model": row.model,
        "metric": row.metric,
        "when": {name: sorted(values) for name, values in sorted(row.when.items())},
        "basis": row.basis,
        "price_usd": _text(price),
        "price_usd_max": _text(most),
        "per": row.per,
        "price": _text(row.price),
        "unit": row.unit,
        "minimum": _text(row.minimum),
        "beyond": row.beyond or None,
        "megapixel": row.megapixel,
        "region": row.region,
        **dates,
        "source": row.origin.source,
        "confidence": row.origin.confidence,
        "note": row.assumes or row.origin.note,
        "file": row.origin.path,
        "line": row.origin.line,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)


def _dates(row: Row) -> dict[str, datetime | None]:
    return {
        "valid_from": row.window.start,
        "valid_until": row.window.end,
        "retired": row.retired,
        "as_of": row.origin.as_of,
    }


def _read(prices: Path | None) -> MediaPrices:
    from tokenmeter.pricing.media import MediaPrices  # `--help` does not wait for it

    return MediaPrices(prices or prices_file())


def _is_wanted(row: Row, provider: str | None, model: str | None) -> bool:
    return provider in (None, row.provider) and (model is None or model.lower() in row.model)


def _unpriced(backend: str | None) -> Sequence[UsageRow] | None:
    """Return the unpriced models of a backend; None if no backend is named and none is there."""
    if backend is None and _is_missing(default_backend_url()):
        return None
    with open_engine(backend) as engine:
        rows = engine.usage(
            by=["provider", "model", "unpriced_reason"], filters={"cost_source": "unpriced"}
        )
    return [row for row in rows if row.unpriced]


def _is_missing(url: str) -> bool:
    scheme, _, path = url.partition(":///")
    return scheme == "sqlite" and not Path(path).is_file()


def _seen(row: UsageRow) -> dict[str, Any]:
    return {**row.group, "events": row.unpriced}
