"""A second computation of a wallet's credits, from docs/wallets.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

FAR = datetime.max.replace(tzinfo=UTC)
NONE = Fraction(0)


@dataclass
class Credit:
    left: Fraction
    priority: int | None = None
    expires: datetime | None = None


@dataclass
class Purse:
    """A wallet's credits."""

    rate: Fraction
    credits: list[Credit] = field(default_factory=list[Credit])

    def balance(self, now: datetime) -> Fraction:
        self.credits = [c for c in self.credits if c.expires is None or c.expires > now]
        return sum((c.left for c in self.credits), NONE)

    def add(self, credit: Credit) -> None:
        for debt in self.credits:
            if debt.left < 0:
                paid = min(credit.left, -debt.left)
                credit.left, debt.left = credit.left - paid, debt.left + paid
        self.credits.append(credit)

    def take(self, amount: Fraction, now: datetime) -> None:
        """By priority, then by expiry, then the largest; what is not there is a debt."""
        self.balance(now)
        for credit in sorted(
            self.credits,
            key=lambda c: (c.priority is None, c.priority or 0, c.expires or FAR, -c.left),
        ):
            part = max(NONE, min(credit.left, amount))
            credit.left, amount = credit.left - part, amount - part
        if amount:
            self.credits.append(Credit(-amount))
