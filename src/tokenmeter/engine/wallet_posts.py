"""What a request for a top-up or a debit says, and the answer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.account import Account, Why
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.engine.store.ledger import Transaction
from tokenmeter.engine.wallet import Wallet, body_of, transaction_body
from tokenmeter.rating.credits import to_credits
from tokenmeter.rating.define import Fields, moment_in, number_in, whole_in
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.rounding import ZERO


def active(wallet: Wallet) -> Wallet:
    """Return a wallet that is not closed; refuse one that is."""
    if not wallet.is_active:
        raise InvalidOperationError("The wallet is closed.")
    return wallet


def credits_in(fields: Fields, wallet: Wallet) -> Decimal:
    """Read how many credits a request adds or takes, as credits or as money."""
    for name in ("credits_to_add", "credits"):
        found = number_in(fields, name)
        if found is not None:
            return found
    amount = number_in(fields, "amount")
    return ZERO if amount is None else to_credits(amount, wallet.topup_rate)


def why_of(fields: Fields, reason: str, key: str | None, now: datetime) -> Why:
    """Read what a top-up is for: priority, and an expiry ahead."""
    expires = moment_in(fields, "expiry_date_utc")
    if expires is not None and expires <= now:
        raise RatingError("An expiry date lies ahead.", field="expiry_date_utc")
    return Why(
        reason,
        idempotency_key=key,
        priority=whole_in(fields, "priority"),
        expires=expires,
    )


def posted(made: Transaction, wallet: Wallet, account: Account) -> dict[str, Any]:
    """Answer with the transaction and the wallet."""
    return {
        "wallet_transaction": transaction_body(made, wallet),
        "wallet": body_of(wallet, account.balance.credit_balance),
    }
