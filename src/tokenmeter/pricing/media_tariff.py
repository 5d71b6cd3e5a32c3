"""The prices of one model: from an event to its cost; each kind of event is worked out once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from tokenmeter.event import Event, Property
from tokenmeter.pricing.card import UsageError, less, total
from tokenmeter.pricing.gaps import fill
from tokenmeter.pricing.media_rows import Basis, Dimension
from tokenmeter.pricing.media_shelf import Offer, Units
from tokenmeter.pricing.media_terms import Charge, Terms, pixels, terms_of
from tokenmeter.pricing.media_words import spelled
from tokenmeter.pricing.priced import Part, Priced

TERMS_MAX = 1024  # kinds of events of one model that are kept worked out
MINIMUM = "minimum_charge"  # the line that fills a cost up to a minimum
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_ZERO = Decimal(0)

Facts = Mapping[str, Property]


class MediaTariff:
    """
    What the price lists say about one model.

    A price depends on the time and on the dimensions that the model's rows name; events that
    agree in these share their terms.
    """

    def __init__(self, offer: Offer, units: Units, version: str) -> None:
        self.offer = offer
        self.dimensions = tuple(_dimensions(offer))
        self._units = units
        self._version = version
        self._sources = tuple(
            dict.fromkeys(source for known in self.dimensions for source in known.sources)
        )
        self._moments = _boundaries(offer, units)
        self._terms = lru_cache(maxsize=TERMS_MAX, typed=True)(self._work_out)

    def price(self, event: Event, basis: Basis) -> Priced | None:
        """Price an event by rows of this basis; None if they say nothing of its metrics."""
        facts = event.properties
        terms = self.terms(facts, event.timestamp)
        charge = chosen(terms, facts, basis)
        if charge is None:
            return self._without(terms, facts)
        try:
            if charge.plain:
                (part,) = parts = charge.card.parts(facts)
                return self._priced(part[4], parts, charge.card.notes)
            if charge.upper is not None:
                return self._unpriced(f"{self.offer.model}: {charge.rows[0].origin.note}")
            parts, notes = lines(charge, terms, event)
        except UsageError as error:
            return self._unpriced(str(error))
        return self._priced(total(parts), parts, notes)

    def terms(self, facts: Facts, moment: datetime) -> Terms:
        """Return what holds for events with these dimensions at this time."""
        window = bisect_right(self._moments, utc(moment)) if self._moments else 0
        try:
            return self._terms(window, *map(facts.get, self._sources))
        except TypeError:  # a value that cannot be a key
            return self._work_out(window, *map(facts.get, self._sources))

    def _work_out(self, window: int, *values: Property | None) -> Terms:
        moment = self._moments[window - 1] if window else _BEFORE_ALL
        given = dict(zip(self._sources, values, strict=True))
        said = {known.name: _value(known, given) for known in self.dimensions}
        if said.get("region", "") is None:
            said["region"] = self.offer.region
        return terms_of(self.offer, self._units, said, moment)

    def _without(self, terms: Terms, facts: Facts) -> Priced | None:
        """Say why no row bills this event, if the lists know its metrics at all."""
        missing = [metric for metric in terms.reasons if metric in facts]
        free = terms.free_if_failed
        if free and _has_failed(facts) and not any(facts[metric] for metric in missing):
            return Priced(_ZERO, self._version, f"not billed: {free}", model=self.offer.model)
        return self._unpriced(terms.reasons[missing[0]]) if missing else None

    def _priced(self, amount: Decimal, parts: list[Part], notes: Sequence[str]) -> Priced:
        reason = "; ".join(notes) if notes else None
        return Priced(amount, self._version, reason, tuple(parts), self.offer.model)

    def _unpriced(self, reason: str) -> Priced:
        reason = f"{self.offer.note}; {reason}" if self.offer.note else reason
        return Priced(None, self._version, reason)


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC; a time without a zone is taken as UTC."""
    if moment.tzinfo is UTC:
        return moment
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def chosen(terms: Terms, facts: Mapping[str, object], basis: Basis) -> Charge | None:
    """Return the charge that bills an event: the first whose metric it has, 0 if need be."""
    present = None
    for charge in terms.charges.get(basis, ()):
        for metric in charge.metrics:
            quantity = facts.get(metric)
            if quantity:
                return charge
            if quantity is not None and present is None:
                present = charge
    return present


def lines(charge: Charge, terms: Terms, event: Event) -> tuple[list[Part], list[str]]:
    """Return the lines of an event's cost, and what is assumed. Raises UsageError."""
    facts: Mapping[str, object] = event.properties
    notes = list(charge.card.notes)
    if charge.is_tokens:
        facts, more = fill(facts, event.event_name, charge.card)
        notes += more
    parts = charge.card.parts(facts)
    for extra in terms.charges.get("extra", ()):
        if extra.metrics[0] in facts:
            parts += _beyond(extra, facts)
    if charge.minimum is not None:
        parts += _filled_up(parts, charge.minimum)
    return parts, notes


def _has_failed(facts: Facts) -> bool:
    """Say whether the provider itself says so: a timeout may hide a job that goes on."""
    return facts.get("outcome") == "failed" and str(facts.get("http_status"))[:1] == "2"


def _beyond(extra: Charge, facts: Mapping[str, object]) -> list[Part]:
    """Bill what is more than is included."""
    metric, included = extra.metrics[0], extra.rows[0].beyond
    quantity = facts[metric]
    if type(quantity) is int:
        quantity = max(0, quantity - included)
    return extra.card.parts({metric: quantity})


def _filled_up(parts: list[Part], minimum: Decimal) -> list[Part]:
    """Return what a cost lacks to the minimum; nothing used is nothing billed."""
    missing = less(minimum, total(parts))
    used = any(part[4] for part in parts)
    return [(MINIMUM, 1, missing, 1, missing)] if used and missing > 0 else []


def _dimensions(offer: Offer) -> Iterator[Dimension]:
    """Yield the dimensions that decide a price of this model."""
    asked = {name for row in offer.rows for name in row.decisive}
    asked |= {name for factor in offer.factors for name in factor.when}
    for name in sorted(asked):
        yield offer.dimensions.get(name) or Dimension(name, (name,))


def _boundaries(offer: Offer, units: Units) -> tuple[datetime, ...]:
    """Return the moments at which anything about these prices changes."""
    windows = [row.window for row in offer.rows]
    windows += [factor.window for factor in offer.factors]
    windows += [window for row in offer.rows for window in units.windows(row)]
    moments = {moment for window in windows for moment in window if moment is not None}
    moments |= {row.retired for row in offer.rows if row.retired is not None}
    return tuple(sorted(moments))


def _value(known: Dimension, given: Mapping[str, Property | None]) -> str | None:
    """Return what an event says of a dimension, in our words, by the first property that does."""
    said = (spelled(known.name, given[source]) for source in known.sources)
    value = next((value for value in said if value is not None), None)
    if value is None:
        return None
    value = known.values.get(value, value)
    area = pixels(value) if known.up_to else None
    if area is None:
        return value
    return next((label for label, most in known.up_to if area <= most), value)
