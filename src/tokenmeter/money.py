"""Money: an exact amount with its currency."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from tokenmeter.errors import CurrencyError

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
    """An amount of one currency; adding two currencies raises CurrencyError."""

    amount: Decimal
    currency: str = "usd"

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
        if self.currency.lower() != other.currency.lower():
            raise CurrencyError(
                f"cannot combine {self.currency.upper()} and {other.currency.upper()}; "
                "convert one of them first"
            )
