"""
The price of a call before it is made: a forecast of its quantities, priced like an event.

The event that the call would become is priced by the same book, at the low, the expected and
the high end of what is open. What is sure is priced once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from decimal import Decimal

from tokenmeter.event import Event, Property
from tokenmeter.frozen import value
from tokenmeter.money import Money
from tokenmeter.pricing import names
from tokenmeter.pricing.asked import Asked, Forecast
from tokenmeter.pricing.batch import summed
from tokenmeter.pricing.card import over, plus, times
from tokenmeter.pricing.choices import COUNTS, chosen, much_of
from tokenmeter.pricing.forecast import forecast
from tokenmeter.pricing.history import NO_HISTORY, History
from tokenmeter.pricing.media_quote import MediaQuote, billing_metrics, quote_rows
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.priced import Part
from tokenmeter.pricing.quote import Charger, Quote, Range, charges_of
from tokenmeter.pricing.tariff import Tariff
from tokenmeter.pricing.tokens import NO_USAGE
from tokenmeter.providers.media import VIDEO
from tokenmeter.usage import METRICS, NOTHING, Usage

NOTHING_SAID = (
    "nothing says how much would be used: give the prompt, or quantities such as "
    "input_tokens=1200 or audio_seconds=60"
)
LOW, EXPECTED, HIGH = 0, 1, 2  # places in a Spread
_WITHIN = frozenset({"input_tokens", "cache_read_tokens", "cache_write_tokens"})
_ANY_TIME = datetime.min.replace(tzinfo=UTC)
_ZERO = Decimal(0)


@value(frozen=True, slots=True)
class Terms:
    """Under what a call is quoted: when, for whom, by which history and catalog."""

    at: datetime
    customer: str | None = None
    history: History = NO_HISTORY
    said: Mapping[str, Property] = field(default_factory=dict[str, Property])  # of whose it is
    charger: Charger | None = None


@value(frozen=True, slots=True)
class _Bounds:
    """What one event can cost; `low` is None where no price is known."""

    low: Decimal | None
    high: Decimal | None
    basis: str
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    exact: bool = False


@value(frozen=True, slots=True)
class _Case:
    """A call, and its quantities as far as they can be known: priced at each end of them."""

    asked: Asked
    planned: Forecast
    terms: Terms
    book: PriceBook

    def event(self, end: int) -> Event:
        """Return the event that the call would become, at one end of what is open."""
        terms = self.terms
        facts = {**self.asked.facts(), **terms.said, **self.planned.at(end)}
        return Event(self.asked.event_name, "", terms.customer or "", terms.at, facts)

    def bounds(self, end: int) -> _Bounds:
        """Price one end."""
        asked, tariff = self.asked, self.asked.tariff
        if tariff:
            facts = {**asked.facts(), **self.planned.at(end)}
            card = tariff.card(self.terms.at)
            tokens = self.book.tokens.by_card(card, facts, asked.event_name)
            if tokens.computed is not None:
                return _sure(tokens.computed, "token prices", tokens.reason, tokens.parts)
        return _bounds(self.event(end), self.book)


def prepared(asked: Asked, book: PriceBook) -> Asked:
    """Look up the rates of a call once, for all that ask for the same with other prompts."""
    if asked.tariff is None:
        event = Event(asked.event_name, "", "", _ANY_TIME, asked.facts())
        found = book.usual(event)
        asked.tariff = found if isinstance(found, Tariff) else False
    return asked


def quote(asked: Asked, terms: Terms, book: PriceBook) -> Quote:
    """Quote a call: what the provider will bill, and what the customer will owe."""
    planned = _planned(prepared(asked, book), terms.history, book)
    case = _Case(asked, planned, terms, book)
    expected = case.bounds(EXPECTED)
    amounts = [expected.low, expected.high]
    for end in _others(planned):
        amount = _at_end(expected, planned, end)
        if amount is None:
            other = case.bounds(end)
            amounts += other.low, other.high
        else:
            amounts.append(amount)
    cost = _cost(expected, amounts)
    priced, cautious = cost is not None, terms.history.is_cautious
    charge, most = _charge(case, terms.charger)
    return Quote(
        provider=asked.provider,
        model=asked.model,
        cost=cost,
        charge=charge,
        basis=_basis(expected, planned) if priced else expected.basis,
        notes=(*planned.notes, *expected.notes) if priced else expected.notes,
        usage=Usage(planned.at(EXPECTED)) if priced else NOTHING,
        customer=terms.customer,
        exact=priced and expected.exact and planned.exact,
        counted=planned.counted,
        parts=expected.parts,
        events=(_billed(case.event(EXPECTED)),) if cautious else (),
        most=(most,) if cautious else (),
    )


def _planned(asked: Asked, history: History, book: PriceBook) -> Forecast:
    """Forecast a call; without a history that is done once for all that ask the same."""
    if not asked.tariff and names.is_free(asked.operation):
        return Forecast({})
    if asked.requests:
        return summed([forecast(a, history, _billed_by(a, book)) for a in asked.requests])
    if asked.operation.endswith("batches"):  # of many requests, which are elsewhere or too many
        return Forecast({})
    if history is not NO_HISTORY:
        return forecast(asked, history, _billed_by(asked, book))
    if asked.planned is None:
        asked.planned = forecast(asked, history, _billed_by(asked, book))
    return asked.planned


def _basis(bound: _Bounds, planned: Forecast) -> str:
    """Say what the figures rest on; a rule is exact if what it multiplies is."""
    rule = bound.basis if planned.exact else bound.basis.removeprefix("exact rule of the ")
    return "; ".join((rule, *planned.basis))


def _billed_by(asked: Asked, book: PriceBook) -> tuple[str, ...]:
    """Only videos are billed by metrics that a request does not name."""
    if asked.event_name != VIDEO or asked.stated:
        return ()
    return billing_metrics(asked.provider, asked.model or "", book.media)


def _others(planned: Forecast) -> tuple[int, ...]:
    """Return the ends that differ from the expected; that may be the most."""
    if not planned.open:
        return ()
    for _, expected, high in planned.open.values():
        if expected != high:
            return LOW, HIGH
    return (LOW,)


def _bounds(event: Event, book: PriceBook) -> _Bounds:
    operation = event.properties.get("operation")
    if isinstance(operation, str) and names.is_free(operation):
        return _Bounds(_ZERO, _ZERO, f"{operation} is free of charge", exact=True)
    listed = book.media.price(event)
    if listed is not None and listed.computed is not None:
        return _sure(listed.computed, "exact rule of the price list", listed.reason, listed.parts)
    tokens = book.tokens.price(event)
    if tokens.computed is not None:
        return _sure(tokens.computed, "token prices", tokens.reason, tokens.parts)
    return _ranged(event, book)


def _sure(amount: Decimal, basis: str, reason: str | None, parts: tuple[Part, ...]) -> _Bounds:
    return _Bounds(amount, amount, basis, (reason,) if reason else (), parts, exact=True)


def _ranged(event: Event, book: PriceBook) -> _Bounds:
    """Price what no single row prices: variable credits, open dimensions, usual prices."""
    facts = event.properties
    provider, model = str(facts["provider"]), str(facts.get("model", ""))
    found = quote_rows(provider, model, facts, at=event.timestamp, prices=book.media)
    if found is None or found.low is None:
        return _Bounds(None, None, "no price", _reasons(event, book, found))
    basis = "usual price of such a thing" if found.estimate else "range of the price list"
    return _Bounds(found.low, found.high, basis, found.notes, found.parts, exact=found.exact)


def _reasons(event: Event, book: PriceBook, found: MediaQuote | None) -> tuple[str, ...]:
    reason = book.price(event).reason
    if not any(name in METRICS for name in event.properties if name not in COUNTS):
        return (NOTHING_SAID if reason is None or reason == NO_USAGE else reason,)
    return (reason or "no price is known",) if found is None else found.notes


def _at_end(expected: _Bounds, planned: Forecast, end: int) -> Decimal | None:
    """
    Price another end by the rates of the expected one, where only quantities differ.

    None where that may not be all: a longer prompt can have other rates, and a metric can have
    others within it.
    """
    if not expected.exact or not expected.parts or not planned.open.keys().isdisjoint(_WITHIN):
        return None
    amount, seen = _ZERO, 0
    for metric, quantity, rate, per, part in expected.parts:
        spread = planned.open.get(metric)
        if spread is None:
            amount = plus(amount, part)
        elif quantity == spread.expected and per == 1:
            amount, seen = plus(amount, times(rate, spread[end])), seen + 1
        else:
            return None
    return amount if seen == len(planned.open) else None


def _cost(expected: _Bounds, amounts: list[Decimal | None]) -> Range | None:
    """Return the range of these amounts; None if one of them is not known."""
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return None
    low, likely, high = min(known), Money(_middle(expected)), max(known)
    if low == high:
        return Range(likely, likely, likely)
    return Range(Money(low), likely, Money(high))


def _middle(bound: _Bounds) -> Decimal:
    if bound.low is None or bound.high is None or bound.low == bound.high:
        return bound.low or _ZERO
    return over(plus(bound.low, bound.high), 2)


def _charge(case: _Case, charger: Charger | None) -> tuple[Range | None, Event]:
    """
    Ask the catalog what the call would add to what its customer owes, at each end.

    Returns the event of the most, too: of what the provider chooses itself, the dearest.
    """
    ends = (LOW, EXPECTED, HIGH) if case.planned.open else (EXPECTED,)
    events = [_billed(case.event(end)) for end in ends]
    most = events[-1]
    if charger is None:
        return None, most
    if case.terms.history.is_cautious:
        if (much := much_of(most)) is not None and len(set(charges_of(charger, [most, much]))) > 1:
            return None, most
        events += (_written(most), *chosen(most))
    charges = charges_of(charger, events)
    known = [charge for charge in charges[: len(ends)] if charge is not None]
    last = len(ends) - 1
    at_most = [(c.amount, at) for at, c in enumerate(charges) if c is not None and at >= last]
    _, dearest = max(at_most, default=(_ZERO, last))
    high = charges[dearest]
    if high is None or (len(known) != len(ends) and dearest <= len(ends)):
        return None, most
    if dearest > len(ends):
        most = events[dearest]
    whole = known if len(known) == len(ends) else [high]
    return Range(whole[0], whole[len(whole) // 2], high), most


def _written(event: Event) -> Event:
    """Return an event whose whole prompt goes to a cache: that may be dearer than reading it."""
    facts = event.properties
    given = _count(facts, "uncached_input_tokens") + _count(facts, "cache_write_tokens")
    written = {"uncached_input_tokens": 0, "cache_write_tokens": given}
    return replace(event, properties={**facts, **written})


def _billed(event: Event) -> Event:
    """Return an event with the parts that a price may be for."""
    facts = event.properties
    given, answered = facts.get("input_tokens"), facts.get("output_tokens", 0)
    if not isinstance(given, int) or not isinstance(answered, int):
        return event
    cached = _count(facts, "cache_read_tokens") + _count(facts, "cache_write_tokens")
    parts = {"uncached_input_tokens": given - cached, "total_tokens": given + answered}
    return replace(event, properties={**parts, **facts})


def _count(facts: Mapping[str, Property], metric: str) -> int:
    number = facts.get(metric, 0)
    return number if isinstance(number, int) else 0
