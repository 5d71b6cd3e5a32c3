"""Money: an exact amount with its currency."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tokenmeter.errors import ConfigurationError, CurrencyError

# ISO 4217 minor units that are not 2 (currencies in use, 2026).
_NO_DECIMALS = "bif clp djf gnf isk jpy kmf krw pyg rwf ugx uyi vnd vuv xaf xof xpf"
_THREE_DECIMALS = "bhd iqd jod kwd lyd omr tnd"
_EXPONENTS = {
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
    "clf": 4,
    "uyw": 4,
}


def minor_units(currency: str) -> int:
    """Return how many decimals the currency has (ISO 4217); 2 when it is not known."""
    return _EXPONENTS.get(currency.lower(), 2)


@dataclass(frozen=True, slots=True)
class Money:
    """
    An exact amount of one currency; adding two currencies raises CurrencyError.

    An int or a text becomes a Decimal; a float is refused, as 0.1 is not a tenth.
    """

    amount: Decimal
    currency: str = "usd"

    if TYPE_CHECKING:  # the dataclass's own would take a Decimal only

        def __init__(self, amount: Decimal | int | str, currency: str = "usd") -> None: ...

    def __post_init__(self) -> None:
        if type(self.amount) is not Decimal:
            object.__setattr__(self, "amount", _exact(self.amount))
        if not self.currency.islower():
            object.__setattr__(self, "currency", self.currency.lower())

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        return Money(self.amount * factor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def rounded(self) -> Money:
        """Round half up to the currency's own exponent (ISO 4217)."""
        exponent = Decimal(1).scaleb(-minor_units(self.currency))
        return Money(self.amount.quantize(exponent, ROUND_HALF_UP), self.currency)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency.upper()}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyError(
                f"cannot combine {self.currency.upper()} and {other.currency.upper()}; "
                "convert one of them first"
            )


def _exact(given: object) -> Decimal:
    if isinstance(given, int | str | Decimal) and not isinstance(given, bool):
        with suppress(InvalidOperation):
            amount = Decimal(given)
            if amount.is_finite():
                return amount
    raise ConfigurationError(
        f"an amount is a Decimal, an int or a text such as '0.10', not {given!r:.40}"
    )
