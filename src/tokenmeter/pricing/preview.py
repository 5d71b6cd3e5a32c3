"""
The price of a call before it is made: a forecast of its quantities, priced like an event.

The event that the call would become is priced by the same book, at the low, the expected and
the high end of what is open. What is sure is priced once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tokenmeter.event import Event, Property
from tokenmeter.money import Money
from tokenmeter.pricing import names
from tokenmeter.pricing.card import over, plus
from tokenmeter.pricing.forecast import Asked, Forecast, forecast
from tokenmeter.pricing.history import NO_HISTORY, History
from tokenmeter.pricing.media_quote import MediaQuote, billing_metrics, quote_rows
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.priced import Part
from tokenmeter.pricing.quote import Charger, Quote, Range
from tokenmeter.providers.media import VIDEO
from tokenmeter.providers.models import model_type
from tokenmeter.usage import METRICS

NOTHING_SAID = (
    "nothing says how much would be used: give the prompt, or quantities such as "
    "input_tokens=1200 or audio_seconds=60"
)
_COUNTS = frozenset({"request_count", "output_count"})
_ENDS = ("low", "expected", "high")
_TWO = 2
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what a call is quoted: when, for whom, by which history and catalog."""

    at: datetime
    customer: str | None = None
    history: History = NO_HISTORY
    charger: Charger | None = None


class _Bounds(NamedTuple):
    """What one event can cost; `low` is None where no price is known."""

    low: Decimal | None
    high: Decimal | None
    basis: str
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    exact: bool = False


def quote(asked: Asked, terms: Terms, book: PriceBook) -> Quote:
    """Quote a call: what the provider will bill, and what the customer will owe."""
    billed_by = _billed_by(asked, book)
    planned = forecast(asked, terms.history, billed_by)
    events = _events(asked, planned, terms)
    bounds = [_bounds(event, book) for event in events]
    expected = bounds[len(bounds) // _TWO]
    cost = _cost(bounds)
    if cost is None:
        return _unpriced(asked, terms, expected, events)
    return Quote(
        provider=asked.provider,
        model=asked.model,
        cost=cost,
        charge=None if terms.charger is None else _charge(events, terms.charger),
        basis="; ".join((_named(expected, planned), *planned.basis)),
        notes=(*planned.notes, *expected.notes),
        usage=planned.usage,
        customer=terms.customer,
        exact=expected.exact and planned.exact,
        parts=expected.parts,
    )


def _named(bound: _Bounds, planned: Forecast) -> str:
    """A rule is exact if what it multiplies is."""
    return bound.basis if planned.exact else bound.basis.removeprefix("exact rule of the ")


def _unpriced(asked: Asked, terms: Terms, bound: _Bounds, events: list[Event]) -> Quote:
    """Say why there is no cost; a catalog of one's own may have a price all the same."""
    return Quote(
        provider=asked.provider,
        model=asked.model,
        cost=None,
        charge=None if terms.charger is None else _charge(events, terms.charger),
        basis=bound.basis,
        notes=bound.notes,
        customer=terms.customer,
    )


def _billed_by(asked: Asked, book: PriceBook) -> tuple[str, ...]:
    """Only videos are billed by metrics that a request does not name."""
    if asked.event_name != VIDEO or asked.stated:
        return ()
    return billing_metrics(asked.provider, asked.model or "", book.media)


def _events(asked: Asked, planned: Forecast, terms: Terms) -> list[Event]:
    """Return the event that the call would become: one where all is sure, else three."""
    sure = {**_facts(asked), **planned.sure}
    customer = terms.customer or ""
    ends = _ENDS if planned.open else ("expected",)
    return [
        Event(
            asked.event_name,
            "",
            customer,
            terms.at,
            {**sure, **{name: getattr(spread, end) for name, spread in planned.open.items()}},
        )
        for end in ends
    ]


def _facts(asked: Asked) -> dict[str, Property]:
    facts: dict[str, Property] = {"provider": asked.provider, "request_count": 1}
    if asked.model:
        facts["model"] = facts["request_model"] = asked.model
        facts["model_type"] = model_type(asked.model)
    if asked.operation:
        facts["operation"] = asked.operation
    facts.update(asked.dimensions)
    return facts


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
    parts = book.price(event).parts
    return _Bounds(found.low, found.high, basis, found.notes, parts, exact=found.exact)


def _reasons(event: Event, book: PriceBook, found: MediaQuote | None) -> tuple[str, ...]:
    if not any(name in METRICS for name in event.properties if name not in _COUNTS):
        return (NOTHING_SAID,)
    if found is not None:
        return found.notes
    return (book.price(event).reason or "no price is known",)


def _cost(bounds: list[_Bounds]) -> Range | None:
    lows = [bound.low for bound in bounds if bound.low is not None]
    highs = [bound.high for bound in bounds if bound.high is not None]
    if len(lows) != len(bounds):
        return None
    middle = bounds[len(bounds) // _TWO]
    if len(bounds) == 1 and lows[0] == highs[0]:
        sure = Money(lows[0])
        return Range(sure, sure, sure)
    return Range(Money(min(lows)), Money(_middle(middle)), Money(max(highs)))


def _middle(bound: _Bounds) -> Decimal:
    if bound.low is None or bound.high is None or bound.low == bound.high:
        return bound.low or _ZERO
    return over(plus(bound.low, bound.high), _TWO)


def _charge(events: list[Event], charger: Charger) -> Range | None:
    charges = [charger(event) for event in events]
    known = [charge for charge in charges if charge is not None]
    if len(known) != len(events):
        return None
    return Range(known[0], known[len(known) // _TWO], known[-1])
