"""From price rows to rates in USD: the best row for each metric, multiplied and converted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from tokenmeter.pricing import names
from tokenmeter.pricing.card import Card, Unit, over, times
from tokenmeter.pricing.media_rows import Basis, Factor, Row
from tokenmeter.pricing.media_shelf import ANY, Offer, Units, closeness

PIXELS_MAX = 10**10  # a larger picture is a mistake of the wire
_SHOWN_MAX = 60  # characters of a foreign text in a reason
_MODALITIES = ("text", *names.MEDIA)

# What each token metric counts: a metric lies within another that says less.
TOKENS: Mapping[str, frozenset[str]] = {
    "input_tokens": frozenset({"in"}),
    "output_tokens": frozenset({"out"}),
    "cache_read_tokens": frozenset({"in", "read"}),
    "cache_write_tokens": frozenset({"in", "write"}),
    "cache_write_5m_tokens": frozenset({"in", "write", "5m"}),
    "cache_write_1h_tokens": frozenset({"in", "write", "1h"}),
    "reasoning_tokens": frozenset({"out", "reasoning"}),
    **{f"input_{kind}_tokens": frozenset({"in", kind}) for kind in _MODALITIES},
    **{f"output_{kind}_tokens": frozenset({"out", kind}) for kind in _MODALITIES},
    **{f"cache_read_{kind}_tokens": frozenset({"in", "read", kind}) for kind in _MODALITIES},
}


Said = Mapping[str, str | None]  # an event's dimensions


@dataclass(frozen=True, slots=True)
class Charge:
    """One way to bill an event that has one of `metrics`."""

    metrics: tuple[str, ...]
    card: Card
    rows: tuple[Row, ...]
    upper: Card | None = None  # the most it can be, where only the vendor knows
    minimum: Decimal | None = None  # USD
    plain: bool = True  # one rate times the quantity is all there is

    @property
    def is_tokens(self) -> bool:
        """Say whether this bills tokens, which lie within each other."""
        return self.metrics[0] in TOKENS


@dataclass(frozen=True, slots=True)
class Terms:
    """What the lists say of all events with these dimensions at this time."""

    charges: Mapping[Basis, tuple[Charge, ...]]  # the best liked first
    reasons: Mapping[str, str]  # by metric: why it has no price
    free_if_failed: str | None


def terms_of(offer: Offer, units: Units, said: Said, moment: datetime) -> Terms:
    """Choose the rows of a model for these dimensions at this time."""
    chosen: dict[tuple[Basis, int, object], list[Row]] = defaultdict(list)
    reasons: dict[str, str] = {}
    rates = Rates(offer, units, said, moment)
    for rows in _groups(offer, moment):
        row = _best(rows, said)
        if row is None:
            reasons.setdefault(rows[0].metric, _no_match(offer, rows, said))
        elif (reason := rates.no_price(row)) is not None:
            reasons.setdefault(row.metric, reason)
        else:
            layer = 0 if row.basis == "extra" else row.origin.layer  # an extra is billed once
            kind = "tokens" if row.metric in TOKENS else row.metric
            chosen[row.basis, layer, kind].append(row)
    free = next((row.failed_is_free for row in offer.rows if row.failed_is_free), None)
    return Terms(_charges(chosen, rates), reasons, free)


def _charges(
    chosen: Mapping[tuple[Basis, int, object], list[Row]], rates: Rates
) -> dict[Basis, tuple[Charge, ...]]:
    charges: dict[Basis, list[Charge]] = defaultdict(list)
    for (basis, _, _), rows in chosen.items():
        charges[basis].append(_charge(rows[:1] if basis == "extra" else rows, rates))
    if "extra" in charges:
        charges = {basis: [replace(c, plain=False) for c in charges[basis]] for basis in charges}
    return {basis: tuple(made) for basis, made in charges.items()}


def _groups(offer: Offer, moment: datetime) -> Iterator[list[Row]]:
    """Yield the rows of one metric of one file; the user's file comes first."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in sorted(offer.rows, key=lambda row: row.origin.layer):
        if row.window.holds(moment):
            groups[row.origin.layer, row.basis, row.metric].append(row)
    yield from groups.values()


def _best(rows: Sequence[Row], said: Said) -> Row | None:
    """Return the match for the closest model name and, among these, with the most dimensions."""
    matching = [row for row in rows if row.holds(said)]
    return max(matching, key=lambda row: (closeness(row.model), len(row.when)), default=None)


def _no_match(offer: Offer, rows: Sequence[Row], said: Said) -> str:
    asked = sorted({name for row in rows for name in row.when})
    facts = ", ".join(_fact(name, rows[0].value(name, said)) for name in asked)
    if all(row.model == ANY for row in rows):
        return f"no list names {offer.model}; any model's price per {rows[0].metric}: {facts}"
    return f"{offer.model} has no price per {rows[0].metric} for {facts}"


def _fact(name: str, value: str | None) -> str:
    return f"unsaid {name}" if value is None else f"{name}={value[:_SHOWN_MAX]}"


def _charge(rows: Sequence[Row], rates: Rates) -> Charge:
    row = rows[0]
    upper = None if row.price_max is None else rates.card([(row, row.price_max)])
    minimum = None if row.minimum is None else rates.usd(row, row.minimum)
    return Charge(
        metrics=tuple(row.metric for row in rows),
        card=rates.card([(row, row.price or Decimal(0)) for row in rows]),
        rows=tuple(rows),
        upper=upper,
        minimum=minimum,
        plain=upper is None is minimum and row.metric not in TOKENS,
    )


@dataclass(frozen=True, slots=True)
class Rates:
    """Turns what rows say into rates in USD."""

    offer: Offer
    units: Units
    said: Said
    moment: datetime

    def card(self, priced: Sequence[tuple[Row, Decimal]]) -> Card:
        """Return the card of these rows: one for a metric, or several that lie in each other."""
        placed = sorted(priced, key=lambda pair: -len(TOKENS.get(pair[0].metric, ())))
        metrics = [row.metric for row, _ in placed]
        known = frozenset(metrics)
        return Card(
            model=self.offer.model,
            units=tuple(
                self._unit(row, price, _within(row.metric, metrics[:place]))
                for place, (row, price) in enumerate(placed)
            ),
            bands=(),
            priced=known,
            unrated=names.unrated(known) if known & TOKENS.keys() else (),
            notes=self._notes([row for row, _ in placed]),
            draws="output_image_tokens" in known,
            modal_cache=names.modal_cache(known),
        )

    def usd(self, row: Row, amount: Decimal) -> Decimal:
        """Convert an amount in the row's unit, with the factors that hold."""
        for factor in self._factors():
            amount = times(amount, factor.factor)
        worth = self.units.worth(row, self.moment)
        return amount if worth is None else worth.usd(amount)

    def no_price(self, row: Row) -> str | None:
        """Say why this row, though it matches, gives no rate."""
        model, size = self.offer.model, row.value("size", self.said)
        if row.price is None:
            return f"no price of {model} is known: {row.origin.note or row.origin.source}"
        if self.units.worth(row, self.moment) is None:
            return f"{row.provider}'s unit {row.unit!r} has no value in USD at this time"
        if row.megapixel is not None and pixels(size) is None:
            return (
                f"{model} is priced by the megapixel: {_fact('size', size)} does not say how many"
            )
        return None

    def _unit(self, row: Row, price: Decimal, inner: tuple[int, ...]) -> Unit:
        rate = times(self.usd(row, price), self._megapixels(row))
        exact = str(row.per).rstrip("0") == "1"
        return Unit(
            row.metric, over(rate, row.per) if exact else rate, 1 if exact else row.per, inner
        )

    def _megapixels(self, row: Row) -> int:
        """Return how many megapixels, each one begun, a picture has."""
        area = None if row.megapixel is None else pixels(row.value("size", self.said))
        return 1 if area is None or row.megapixel is None else -(-area // row.megapixel)

    def _factors(self) -> Iterator[Factor]:
        """Yield, of the factors for the same dimensions, the closest; the user's come first."""
        found: dict[frozenset[str], list[Factor]] = defaultdict(list)
        for factor in self.offer.factors:
            if factor.window.holds(self.moment) and self._meets(factor):
                found[frozenset(factor.when)].append(factor)
        for rivals in found.values():
            yield max(rivals, key=lambda rival: (-rival.origin.layer, closeness(rival.model)))

    def _meets(self, factor: Factor) -> bool:
        return all(self.said.get(name) in wanted for name, wanted in factor.when.items())

    def _notes(self, rows: Sequence[Row]) -> tuple[str, ...]:
        named = (self.offer.note,) if self.offer.note else ()
        return tuple(dict.fromkeys((*named, *(note for row in rows for note in self._of(row)))))

    def _of(self, row: Row) -> Iterator[str]:
        unsaid = {name for name in row.decisive if self.said.get(name) is None}
        for name in sorted(unsaid & row.defaults.keys()):
            yield f"{name} is not said: {row.defaults[name]} is assumed"
        if row.basis == "estimate":
            yield f"an estimate: {row.assumes or row.origin.source}"
        elif row.assumes is not None:
            yield row.assumes
        if row.retired is not None and row.retired <= self.moment:
            day = f"{row.retired:%Y-%m-%d}"
            yield f"{self.offer.model} was retired on {day}: its last price is used"


def pixels(size: str | None) -> int | None:
    """Return how many pixels a size like 1024x768 has; None for what is no such size."""
    width, _, height = (size or "").partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        return None
    if len(width) + len(height) > len(str(PIXELS_MAX)):
        return None
    return int(width) * int(height) or None


def _within(metric: str, earlier: Sequence[str]) -> tuple[int, ...]:
    """Return the places of the metrics that lie within this one."""
    whole = TOKENS.get(metric)
    if whole is None:
        return ()
    return tuple(place for place, part in enumerate(earlier) if whole < TOKENS[part])
