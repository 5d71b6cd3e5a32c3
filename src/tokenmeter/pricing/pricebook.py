"""The price book: what the provider bills for an event. One door, `price_event`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tokenmeter.event import Event, Property
from tokenmeter.pricing import names
from tokenmeter.pricing.formula import Formula
from tokenmeter.pricing.formulas import Formulas, Unpriced
from tokenmeter.pricing.media import MediaPrices
from tokenmeter.pricing.priced import DRIFT_MAX, Line, Priced, amount_text
from tokenmeter.pricing.tariff import Tariff
from tokenmeter.pricing.tokens import NO_LIST, TokenPrices

__all__ = ["COST_PROPERTIES", "DRIFT_MAX", "Line", "PriceBook", "Priced", "price_event"]

COST_USD_MAX = Decimal(10) ** 9  # a larger reported cost is a mistake of the wire
COST_DIGITS_MAX = 30  # decimal places of a reported cost

# What `price_event` writes; an event that is priced again loses the old ones first.
COST_PROPERTIES = (
    "cost_usd",
    "cost_source",
    "cost_note",
    "computed_cost_usd",
    "cost_drift",
    "unpriced_reason",
    "pricebook_version",
)
_ZERO = Decimal(0)
_NOT_REPORTED = ("missing", "estimated")  # by the provider
_TOOL_UNSAID = "missing:tool_usage"  # the adapter's flag
_OUTPUTS = frozenset({"output_tokens", "output_image_tokens", "tokens"})


class PriceBook:
    """
    Prices events. Construction is free; the first price loads the price data (0.3 s).

    `extra` is a price list of the user's own, or the name of a bundled one (`studio`): its rows
    go before ours. It is read at once, and raises ConfigurationError if it makes no sense. Load
    and price in the thread that ships, not in the one that makes the user's call.
    """

    def __init__(self, extra: str | Path | None = None) -> None:
        self._tokens = TokenPrices()
        self._media = MediaPrices(extra)
        self._formulas = Formulas(self.usual, lambda: self.version)

    @property
    def version(self) -> str:
        """The name of the token prices, as events carry it; loads them."""
        return self._tokens.version

    @property
    def tokens(self) -> TokenPrices:
        """The token prices."""
        return self._tokens

    @property
    def media(self) -> MediaPrices:
        """The price lists of media, and the user's own."""
        return self._media

    def price(self, event: Event) -> Priced:
        """
        Return what the provider bills for this event, by the first rule that applies.

        1. The provider says what it charged (`reported_cost_usd`, or its own units or credits):
           that is the cost; the computed one stands beside it.
        2. Not billed: a free operation (token counts), or an attempt refused with an HTTP error
           (400 and up) for which the provider reports no usage. Cost 0, with the reason.
        3. The price lists, at the event's own time: those of media and the user's own, then
           those of tokens. Where no tokens are reported, the usual price of such an image.
        4. Else unpriced, with the reason. Unknown usage, also of a timeout or an error inside
           HTTP 200, is never 0: the provider may have billed it.
        """
        computed = self._computed(event)
        reported = event.properties.get("reported_cost_usd")
        if reported is None:
            reported = self._media.charged(event)
        return computed if reported is None else _with_reported(computed, reported)

    def cost(self, event: Event) -> Decimal | None:
        """Return what the provider bills for this event, in USD; None is unpriced."""
        formula = self._formulas.of(event)
        if type(formula) is not Formula:
            return None if formula else self.price(event).cost
        total = formula.total(event.properties)
        return self.price(event).cost if total is None else Decimal(formula.text(total))

    def priced(self, event: Event) -> Event:
        """
        Return the event with its cost: `cost_usd`, `cost_source`, `pricebook_version`.

        An unpriced event has no `cost_usd`, but `cost_source="unpriced"` and `unpriced_reason`.
        Assumptions stand in `cost_note`; a reported cost that differs from the computed one by
        more than DRIFT_MAX has `cost_drift`, the ratio of the two. Pricing again replaces these.
        """
        return event.holding(self.with_cost(event))

    def with_cost(self, event: Event) -> dict[str, Property]:
        """Return the properties of an event and those of its cost, as `priced` has them."""
        facts = event.properties
        formula = self._formulas.of(event)
        if formula is None:
            return self._with_cost(event)
        found = {**facts, **formula.costs}
        if type(formula) is Formula:
            total = formula.total(facts)
            if total is None:
                return self._with_cost(event)
            found["cost_usd"] = formula.text(total)
        return found

    def _with_cost(self, event: Event) -> dict[str, Property]:
        """Price an event the long way."""
        costs = _cost_properties(self.price(event))
        facts = event.properties
        if "cost_source" in facts:
            facts = {k: v for k, v in facts.items() if k not in COST_PROPERTIES}
        return {**facts, **costs}

    def usual(self, event: Event) -> Tariff | Unpriced | None:
        """Return the token rates of an event for which no other rule can apply; or why none."""
        facts = event.properties
        if facts.get("outcome") == "failed" or _not_billed(facts) is not None:
            return None
        if self._media.tariff(facts) is not None or _may_be_uncounted(facts):
            return None
        if "flags" in facts and "image_count" in facts:
            return None
        found = self._tokens.tariff(facts)
        if isinstance(found, str):
            return Unpriced(
                _cost_properties(self._unknown(event, Priced(None, self.version, found)))
            )
        return found

    def _computed(self, event: Event) -> Priced:
        free = _not_billed(event.properties)
        if free is not None:
            return Priced(_ZERO, self.version, free)
        listed = self._media.price(event)
        if listed is not None and listed.computed is not None:
            return listed
        tokens = self._tokens.price(event)
        if tokens.computed is not None and _is_uncounted(event.properties):
            tokens = Priced(None, self.version, "images were made, their tokens are not reported")
        if tokens.computed is not None:
            return _with_tools_images(tokens, event.properties)
        return self._media.estimate(event) or listed or self._unknown(event, tokens)

    def _unknown(self, event: Event, tokens: Priced) -> Priced:
        """Return the best reason for no price: that of the list which knows most of the model."""
        media_only = str(tokens.reason).startswith(NO_LIST)
        return (
            self._media.unreported(event) or (media_only and self._media.unknown(event)) or tokens
        )


_BOOK = PriceBook()


def price_event(event: Event, book: PriceBook = _BOOK) -> Event:
    """Return the event with its cost, as `PriceBook.priced` does."""
    return book.priced(event)


def _cost_properties(priced: Priced) -> dict[str, Property]:
    if priced.computed is not None and priced.reported is None and priced.reason is None:
        return {
            "cost_source": "computed",
            "pricebook_version": priced.version,
            "cost_usd": amount_text(priced.computed),
        }
    cost = priced.cost
    costs: dict[str, Property] = {
        "cost_source": priced.source,
        "pricebook_version": priced.version,
    }
    if cost is not None:
        costs["cost_usd"] = amount_text(cost)
    if priced.reason is not None:
        costs["unpriced_reason" if cost is None else "cost_note"] = priced.reason
    if priced.reported is not None:
        _set_beside(costs, priced)
    return costs


def _set_beside(costs: dict[str, Property], priced: Priced) -> None:
    if priced.computed is not None:
        costs["computed_cost_usd"] = amount_text(priced.computed)
    if priced.drift is not None:
        costs["cost_drift"] = priced.drift


def _with_tools_images(priced: Priced, facts: Mapping[str, Property]) -> Priced:
    """Say that the images which a hosted tool drew are not in the cost, where nobody counted."""
    if _TOOL_UNSAID not in str(facts.get("flags", "")):
        return priced
    notes = filter(None, (priced.reason, "the images of its tool are not in this cost"))
    return priced._replace(reason="; ".join(notes))


def _is_uncounted(facts: Mapping[str, Property]) -> bool:
    """Whether images were made and nothing says by how many tokens: the stream was left early."""
    return _may_be_uncounted(facts) and bool(facts["image_count"])


def _may_be_uncounted(facts: Mapping[str, Property]) -> bool:
    return "image_count" in facts and facts.keys().isdisjoint(_OUTPUTS)


def _not_billed(facts: Mapping[str, Property]) -> str | None:
    """Return why the provider bills nothing for this exchange, or None if it may bill."""
    operation = facts.get("operation")
    if isinstance(operation, str) and names.is_free(operation):
        return f"{operation} is free of charge"
    if facts.get(names.SERVED_FROM_CACHE) == "true":
        return "served from the cache of a gateway: the provider was not asked"
    if facts.get("outcome") != "failed" or facts.get("usage_source") not in _NOT_REPORTED:
        return None
    status = str(facts.get("http_status", ""))
    if len(status) == 3 and "400" <= status <= "599":
        return f"not billed: HTTP {status}, no usage reported"
    return None


def _with_reported(computed: Priced, reported: Property) -> Priced:
    charged = _amount(reported)
    if charged is not None:
        return computed._replace(reported=charged)
    note = "reported_cost_usd is not an amount in USD"
    return computed._replace(reason="; ".join(filter(None, (computed.reason, note))))


def _amount(value: Property) -> Decimal | None:
    """Read an amount of money, or None where it is none (text, NaN, negative, absurd)."""
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= COST_USD_MAX:
        return None
    exponent = amount.as_tuple().exponent
    return amount if isinstance(exponent, int) and exponent >= -COST_DIGITS_MAX else None
