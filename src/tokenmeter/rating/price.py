"""A price: what a meter's units or a fixed item cost, in which currency, when, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import Filter
from tokenmeter.rating.models import Line, Model, Tiered
from tokenmeter.rating.periods import BillingPeriod
from tokenmeter.rating.rounding import ZERO, divided, rounded, times

CURRENCY_CHARS = 3


class PriceType(StrEnum):
    """What is priced: metered usage, or a fixed item."""

    USAGE = "USAGE"
    FIXED = "FIXED"


class Cadence(StrEnum):
    """When a price is invoiced: after its period or before."""

    ARREAR = "ARREAR"
    ADVANCE = "ADVANCE"


@dataclass(frozen=True, slots=True)
class PriceUnit:
    """A currency of the seller's own: one CREDIT is 0.01 USD."""

    code: str
    base_currency: str
    conversion_rate: Decimal  # units of the base currency for one of these

    def __post_init__(self) -> None:
        if not self.code.strip():
            raise RatingError("A price unit needs a code.", field="code")
        if self.conversion_rate <= 0:
            raise RatingError("A conversion rate is above 0.", field="conversion_rate")

    def to_money(self, amount: Decimal) -> Decimal:
        """Convert to the base currency, not rounded."""
        return times(amount, self.conversion_rate)

    def from_money(self, amount: Decimal) -> Decimal:
        """Convert from the base currency, rounded like money."""
        return rounded(divided(amount, self.conversion_rate), self.base_currency)


@dataclass(frozen=True, slots=True)
class Price:
    """
    One price. `model` is in the price unit where there is one, else in the currency.

    Of the prices of one meter the most specific `filters` win. Broken combinations raise.
    """

    price_id: str
    currency: str
    model: Model
    type: PriceType = PriceType.USAGE
    meter_id: str = ""
    filters: tuple[Filter, ...] = ()
    unit: PriceUnit | None = None
    billing_period: BillingPeriod = BillingPeriod.MONTHLY
    billing_period_count: int = 1
    cadence: Cadence = Cadence.ARREAR
    min_quantity: Decimal = ZERO  # of a fixed item
    start: datetime | None = None
    end: datetime | None = None  # exclusive
    display_name: str = ""
    item: str = ""  # a line item that bills the price after another one did

    def __post_init__(self) -> None:
        self._check_currency()
        self._check_kind()
        self._check_dates()

    @property
    def key(self) -> str:
        """What it is known by among a subscription's prices, where several items may bill it."""
        return f"{self.price_id}/{self.item}" if self.item else self.price_id

    @property
    def money_model(self) -> Model:
        """The model in the currency: amounts in a price unit are converted, not rounded."""
        return self.model if self.unit is None else self.model.scaled(self.unit.conversion_rate)

    def lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price a quantity, in the currency; nothing used is no line."""
        return self.money_model.lines(quantity)

    def is_current(self, moment: datetime) -> bool:
        """Tell whether the price is in force at a moment: [start, end)."""
        started = self.start is None or self.start <= moment
        return started and (self.end is None or moment < self.end)

    def _check_currency(self) -> None:
        if len(self.currency) != CURRENCY_CHARS or not self.currency.isalpha():
            raise RatingError("A currency has three letters.", field="currency")
        base = self.currency if self.unit is None else self.unit.base_currency
        if base.lower() != self.currency.lower():
            raise RatingError(
                f"The price is in {self.currency.upper()}, its price unit in {base.upper()}; "
                "they must be the same.",
                field="currency",
            )

    def _check_kind(self) -> None:
        usage = self.type is PriceType.USAGE
        if usage and not self.meter_id:
            raise RatingError("A USAGE price needs a meter.", field="meter_id")
        if usage and self.cadence is Cadence.ADVANCE:
            raise RatingError(
                "Usage is invoiced in ARREAR; it is not known before.", field="invoice_cadence"
            )
        if usage and self.min_quantity:
            raise RatingError("Only a FIXED price has a min_quantity.", field="min_quantity")
        if self.min_quantity < 0:
            raise RatingError("A min_quantity is at least 0.", field="min_quantity")

    def _check_dates(self) -> None:
        if self.billing_period_count < 1:
            raise RatingError(
                "A billing_period_count is at least 1.", field="billing_period_count"
            )
        one_time = self.billing_period is BillingPeriod.ONETIME
        if one_time and self.cadence is not Cadence.ADVANCE:
            raise RatingError("A ONETIME price is invoiced in ADVANCE.", field="invoice_cadence")
        if self.start and self.end and self.end <= self.start:
            raise RatingError("A price cannot end before it starts.", field="end_date")


def bills_identically(one: Price, other: Price) -> bool:
    """
    Tell whether a fixed item bills the same under both prices, so that its line may stay.

    Usage and tiers never do: their running quantity starts again.
    """
    if PriceType.USAGE in {one.type, other.type}:
        return False
    if isinstance(one.model, Tiered) or isinstance(other.model, Tiered):
        return False
    return _billing(one) == _billing(other)


def _billing(price: Price) -> tuple[object, ...]:
    return (
        price.model,
        price.currency.lower(),
        price.unit.code if price.unit else "",
        price.meter_id,
        price.cadence,
        price.billing_period,
        price.billing_period_count,
    )
