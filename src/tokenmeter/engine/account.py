"""
A wallet under lock: what may be done to its ledger.

Invariants, after every transaction: the balance is the sum of what is left of the credits; each
line of the ledger begins with the balance that the line before it left; the first begins at 0.
Not guaranteed: that a balance is never below 0. A manual debit may overdraw; the debt is a
credit with less than nothing left, and the next credit pays it first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from tokenmeter.engine.ids import new_id
from tokenmeter.engine.store.ledger import CreditRow, Ledger, Transaction
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.engine.wallet import Wallet
from tokenmeter.rating.credits import Credit, Draw, check_credits, draw, to_amount
from tokenmeter.rating.rounding import EXACT, ZERO, minus, plain, plus

EXPIRED = "CREDIT_EXPIRED"
OVERDRAFT = "OVERDRAFT"
CREDIT, DEBIT = "credit", "debit"


@dataclass(frozen=True, slots=True)
class Why:
    """What a posting is for."""

    reason: str
    reference_type: str | None = None
    reference_id: str | None = None
    idempotency_key: str | None = None
    priority: int | None = None
    expires: datetime | None = None


class Account:
    """One wallet, locked until the transaction ends; expired credits are gone when it opens."""

    def __init__(self, ledger: Ledger, wallet: Wallet, now: datetime) -> None:
        self._ledger = ledger
        self._wallet = wallet
        self._now_us = microseconds(now)
        self._now = now
        self.balance = ledger.lock(wallet.id)
        self._credits = {c.id: c for c in ledger.usable(wallet.id)}
        self._expire()

    def credit(self, credits_added: Decimal, why: Why) -> Transaction:
        """Add credits, above 0; a debt is paid from them first."""
        check_credits(credits_added)
        debts = [c for c in self._credits.values() if c.remaining < 0]
        left = credits_added
        for debt in debts:
            paid = min(left, debt.remaining.copy_negate())
            left = minus(left, paid)
            self._leave(debt, EXACT.add(debt.remaining, paid))
        self._add(credits_added, left, why)
        return self._post(CREDIT, credits_added, why)

    def debit(self, credits_taken: Decimal, why: Why, *, overdraw: bool = False) -> Transaction:
        """Take credits in their order: priority, expiry, the largest. OperationError if short."""
        usable = [_credit(c) for c in self._credits.values()]
        taken = draw(usable, credits_taken, self._now, overdraw=overdraw)
        self._take(taken)
        short = minus(credits_taken, *(d.amount for d in taken))
        if short:
            self._add(short.copy_negate(), short.copy_negate(), replace(why, reason=OVERDRAFT))
        return self._post(DEBIT, credits_taken, why, taken)

    @property
    def usable(self) -> Decimal:
        """The credits that a debit could take."""
        return max(ZERO, plus(c.remaining for c in self._credits.values() if c.remaining > 0))

    def hold(self, amount: Decimal) -> None:
        """Hold more (or, below 0, less) money."""
        self.balance = replace(self.balance, held=EXACT.add(self.balance.held, amount))
        self._ledger.save(self.balance)

    def _expire(self) -> None:
        for credit in sorted(self._credits.values(), key=lambda c: c.id):
            over = credit.expires_us is not None and credit.expires_us <= self._now_us
            if over and credit.remaining > 0:
                draws = (Draw(credit.id, credit.remaining),)
                why = Why(EXPIRED, "CREDIT", credit.id)
                self._take(draws)
                self._post(DEBIT, credit.remaining, why, draws)

    def _take(self, taken: Iterable[Draw]) -> None:
        for part in taken:
            credit = self._credits[part.credit_id]
            self._leave(credit, minus(credit.remaining, part.amount))

    def _leave(self, credit: CreditRow, remaining: Decimal) -> None:
        self._credits[credit.id] = replace(credit, remaining=remaining)
        self._ledger.set_remaining(credit.id, remaining)

    def _add(self, amount: Decimal, remaining: Decimal, why: Why) -> None:
        credit = CreditRow(
            new_id("credit"),
            self._wallet.id,
            amount,
            remaining,
            why.reason,
            self._now_us,
            why.priority,
            None if why.expires is None else microseconds(why.expires),
            why.reference_id,
        )
        self._credits[credit.id] = credit
        self._ledger.add_credit(credit)

    def _post(
        self, kind: str, amount: Decimal, why: Why, taken: Sequence[Draw] = ()
    ) -> Transaction:
        before = self.balance.credit_balance
        after = EXACT.add(before, amount) if kind == CREDIT else minus(before, amount)
        posted = Transaction(
            new_id("wtxn"),
            self._wallet.id,
            kind,
            to_amount(amount, self._wallet.rate),
            amount,
            before,
            after,
            why.reason,
            self._now_us,
            reference_type=why.reference_type,
            reference_id=why.reference_id,
            idempotency_key=why.idempotency_key,
            expires_us=None if why.expires is None else microseconds(why.expires),
            priority=why.priority,
            body=json.dumps({"taken": {d.credit_id: plain(d.amount) for d in taken}}),
        )
        self._ledger.add_transaction(posted)
        self.balance = replace(self.balance, credit_balance=after)
        self._ledger.save(self.balance)
        return posted


def _credit(row: CreditRow) -> Credit:
    expires = None if row.expires_us is None else moment(row.expires_us)
    return Credit(row.id, row.remaining, row.priority, expires)
