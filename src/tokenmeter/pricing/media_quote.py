"""What media will cost, by the same rows as what they cost; a range where facts are open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice, product

from tokenmeter.event import Event, Property
from tokenmeter.pricing.card import UsageError, total
from tokenmeter.pricing.media import MediaPrices
from tokenmeter.pricing.media_rows import Basis, Row
from tokenmeter.pricing.media_shelf import ANY
from tokenmeter.pricing.media_tariff import MediaTariff, chosen, lines
from tokenmeter.pricing.priced import Part

VARIANTS_MAX = 64  # combinations of unsaid dimensions that are tried

Facts = Mapping[str, Property]


@dataclass(frozen=True, slots=True)
class MediaQuote:
    """
    The price of something not made yet, in USD: `low` to `high`, equal where it is certain.

    `rows` say where the figures are from, `notes` what is assumed. `low` and `high` are None
    where no row matches; then `notes` say why.
    """

    low: Decimal | None
    high: Decimal | None
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    estimate: bool = False  # by the usual price of such a thing, without its tokens
    parts: tuple[Part, ...] = ()  # of `low`, where there is one row

    @property
    def exact(self) -> bool:
        """Say whether the cost will be this: `PriceBook.price` uses the same row."""
        return self.low is not None and self.low == self.high and not self.estimate


def quote_rows(
    provider: str, model: str, facts: Facts, *, at: datetime, prices: MediaPrices
) -> MediaQuote | None:
    """
    Return what these quantities of a model cost at a time; None if no list knows the model.

    `facts` are an event's: metrics (``image_count=2``) and dimensions (``size="1024x1024"``). A
    dimension that is left out means what the vendor says it means; if nobody says, every value
    that has a price is tried, and the quote is a range.
    """
    named = {**facts, "provider": provider, "model": model}
    event = Event("", "", "", at, named)
    tariff = prices.tariff(named)
    if tariff is None:
        return None
    bases: tuple[Basis, ...] = ("list", "estimate")
    quotes: list[MediaQuote] = []
    for basis in bases:
        quotes.append(_quoted(tariff, event, basis))
        if quotes[-1].low is not None:
            return quotes[-1]
    metrics = ", ".join(billing_metrics(provider, model, prices))
    missing = f"{model} is billed by {metrics}: none is given"
    return MediaQuote(None, None, notes=_notes(quotes) or (missing,))


def billing_metrics(provider: str, model: str, prices: MediaPrices) -> tuple[str, ...]:
    """Return the metrics by which a model is billed, the best liked first; () if unknown."""
    tariff = prices.tariff({"provider": provider, "model": model})
    rows = () if tariff is None else tariff.offer.rows
    listed = [row.metric for row in rows if row.basis == "list"]
    return _each((*listed, *(row.metric for row in rows if row.basis == "estimate")))


def _quoted(tariff: MediaTariff, event: Event, basis: Basis) -> MediaQuote:
    plain = _one(tariff, event, basis)
    if plain.low is not None:
        return plain
    variants = islice(_variants(tariff, event.properties), VARIANTS_MAX)
    quotes = [_one(tariff, replace(event, properties=facts), basis) for facts in variants]
    found = [quote for quote in quotes if quote.low is not None]
    return _together(found) if found else MediaQuote(None, None, notes=_notes(quotes))


def _together(quotes: Sequence[MediaQuote]) -> MediaQuote:
    """Return the range of several quotes that have a price."""
    return MediaQuote(
        min(quote.low for quote in quotes if quote.low is not None),
        max(quote.high for quote in quotes if quote.high is not None),
        tuple({id(row): row for quote in quotes for row in quote.rows}.values()),
        _notes(quotes),
        quotes[0].estimate,
    )


def _notes(quotes: Iterable[MediaQuote]) -> tuple[str, ...]:
    return _each(note for quote in quotes for note in quote.notes)


def _each(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _variants(tariff: MediaTariff, facts: Facts) -> Iterator[dict[str, Property]]:
    """Yield the facts with each value that the unsaid dimensions may have."""
    open_to = {name: sorted(values) for name, values in _unsaid(tariff, facts).items()}
    for values in product(*open_to.values()):
        yield {**facts, **dict(zip(open_to, values, strict=True))}


def _unsaid(tariff: MediaTariff, facts: Facts) -> dict[str, set[str]]:
    """Return what nobody says; a row for any model is none for what does not say its terms."""
    unsaid: dict[str, set[str]] = {}
    for known in tariff.dimensions:
        if any(source in facts for source in known.sources):
            continue
        for row in tariff.offer.rows:
            if row.metric in facts and row.model != ANY and known.name not in row.defaults:
                unsaid.setdefault(known.name, set()).update(row.when.get(known.name, ()))
    return {name: values for name, values in unsaid.items() if values}


def _one(tariff: MediaTariff, event: Event, basis: Basis) -> MediaQuote:
    terms = tariff.terms(event.properties, event.timestamp)
    charge = chosen(terms, event.properties, basis)
    if charge is None:
        reasons = (terms.reasons.get(metric) for metric in event.properties)
        return MediaQuote(None, None, notes=tuple(reason for reason in reasons if reason))
    try:
        parts, notes = lines(charge, terms, event)
        most = parts
        if charge.upper is not None:
            most, _ = lines(replace(charge, card=charge.upper), terms, event)
            notes.append(str(charge.rows[0].origin.note))
    except UsageError as error:
        return MediaQuote(None, None, notes=(str(error),))
    estimate = basis == "estimate"
    return MediaQuote(total(parts), total(most), charge.rows, tuple(notes), estimate, tuple(parts))
