"""The price book: what the provider bills for an event. One door, `price_event`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from tokenmeter.event import Event, Property
from tokenmeter.pricing import names
from tokenmeter.pricing.card import over
from tokenmeter.pricing.priced import Priced, amount_text
from tokenmeter.pricing.tokens import TokenPrices

__all__ = ["COST_PROPERTIES", "DRIFT_MAX", "PriceBook", "Priced", "price_event"]

DRIFT_MAX = Decimal("0.05")  # reported and computed cost may differ by 5 % of the computed one
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
_RATIO = Decimal("0.0001")


class PriceBook:
    """
    Prices events. Construction is free; the first price loads the price data (0.3 s).

    Load and price in the thread that ships, not in the one that makes the user's call.
    """

    def __init__(self) -> None:
        self._tokens = TokenPrices()

    @property
    def version(self) -> str:
        """The name of the price data, as events carry it; loads it."""
        return self._tokens.version

    def price(self, event: Event) -> Priced:
        """
        Return what the provider bills for this event, by the first rule that applies.

        1. The provider says what it charged (`reported_cost_usd`): that is the cost; the
           computed one stands beside it.
        2. Not billed: a free operation (token counts), or an attempt refused with an HTTP error
           (400 and up) that reports no usage. Cost 0, computed, with the reason.
        3. The price lists: the served model's rates at the event's own time.
        4. Else unpriced, with the reason. Unknown usage, also of a timeout or an error inside
           HTTP 200, is never 0: the provider may have billed it.
        """
        computed = self._computed(event)
        reported = event.properties.get("reported_cost_usd")
        return computed if reported is None else _with_reported(computed, reported)

    def _computed(self, event: Event) -> Priced:
        free = _not_billed(event.properties)
        if free is not None:
            return Priced(Decimal(0), "computed", self.version, free)
        # Media price lists (images, seconds, jobs) are asked first, here, once they exist.
        return self._tokens.price(event)


_BOOK = PriceBook()


def price_event(event: Event, book: PriceBook = _BOOK) -> Event:
    """
    Return the event with its cost: `cost_usd`, `cost_source`, `pricebook_version`.

    An unpriced event has no `cost_usd`, but `cost_source="unpriced"` and `unpriced_reason`.
    Assumptions stand in `cost_note`; a reported cost that differs from the computed one by more
    than DRIFT_MAX has `cost_drift`, the ratio of the two. Pricing again replaces all of these.
    """
    costs = _cost_properties(book.price(event))
    if "cost_source" in event.properties:
        kept = {k: v for k, v in event.properties.items() if k not in COST_PROPERTIES}
        event = replace(event, properties=kept)
    return event.with_properties(costs)


def _cost_properties(priced: Priced) -> dict[str, Property]:
    costs: dict[str, Property] = {
        "cost_source": priced.source,
        "pricebook_version": priced.version,
    }
    if priced.cost is not None:
        costs["cost_usd"] = amount_text(priced.cost)
    if priced.reason is not None:
        costs["unpriced_reason" if priced.cost is None else "cost_note"] = priced.reason
    if priced.computed is not None:
        costs["computed_cost_usd"] = amount_text(priced.computed)
    if priced.drift is not None:
        costs["cost_drift"] = priced.drift
    return costs


def _not_billed(facts: Mapping[str, Property]) -> str | None:
    """Return why the provider bills nothing for this exchange, or None if it may bill."""
    operation = facts.get("operation")
    if isinstance(operation, str) and names.is_free(operation):
        return f"{operation} is free of charge"
    if facts.get("usage_source") != "missing" or facts.get("outcome") != "failed":
        return None
    status = str(facts.get("http_status", ""))
    if len(status) == 3 and "400" <= status <= "599":
        return f"not billed: HTTP {status} without usage"
    return None


def _with_reported(computed: Priced, reported: Property) -> Priced:
    charged = _amount(reported)
    if charged is None:
        note = "reported_cost_usd is not an amount in USD"
        return replace(computed, reason="; ".join(filter(None, (computed.reason, note))))
    return replace(
        computed,
        cost=charged,
        source="reported",
        reason=None if computed.cost is None else computed.reason,
        computed=computed.cost,
        drift=None if computed.cost is None else _drift(charged, computed.cost),
    )


def _drift(charged: Decimal, computed: Decimal) -> str | None:
    if charged == computed:
        return None
    if not computed:
        return "Infinity"
    ratio = over(charged, computed)
    return str(ratio.quantize(_RATIO)) if abs(ratio - 1) > DRIFT_MAX else None


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
