"""What a request for a top-up or a debit says, and the answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.account import Account, Why
from tokenmeter.engine.errors import AlreadyExistsError, InvalidOperationError
from tokenmeter.engine.store.ledger import Ledger, Transaction
from tokenmeter.engine.wallet import Wallet, body_of, transaction_body
from tokenmeter.rating.credits import to_credits
from tokenmeter.rating.define import Fields, moment_in, number_in, text_in, whole_in
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.rounding import ZERO

FREE = "FREE_CREDIT_GRANT"
REASONS = frozenset(
    {
        *(FREE, "PURCHASED_CREDIT_INVOICED", "PURCHASED_CREDIT_DIRECT"),
        *("SUBSCRIPTION_CREDIT_GRANT", "CREDIT_NOTE", "INVOICE_VOID_REFUND"),
    }
)
_DAY = "initial_credits_to_load_expiry_date"


def reason_in(fields: Fields) -> str:
    """Read why credits are added: one of Flexprice's reasons."""
    reason = text_in(fields, "transaction_reason")
    if reason not in REASONS:
        raise RatingError(
            f"transaction_reason is one of {', '.join(sorted(REASONS))}.",
            field="transaction_reason",
        )
    return reason


def active(wallet: Wallet) -> Wallet:
    """Return a wallet that is not closed; refuse one that is."""
    if not wallet.is_active:
        raise InvalidOperationError("The wallet is closed.")
    return wallet


def credits_in(fields: Fields, rate: Decimal) -> Decimal:
    """Read how many credits a request adds or takes, as credits or as money at a rate."""
    for name in ("credits_to_add", "credits"):
        found = number_in(fields, name)
        if found is not None:
            return found
    amount = number_in(fields, "amount")
    return ZERO if amount is None else to_credits(amount, rate)


def why_of(fields: Fields, reason: str, key: str | None, now: datetime) -> Why:
    """Read what a top-up is for: priority, and an expiry ahead."""
    return Why(
        reason,
        idempotency_key=key,
        priority=whole_in(fields, "priority"),
        expires=_ahead(fields, "expiry_date_utc", now),
    )


def why_bonus(fields: Fields, why: Why, now: datetime) -> Why:
    """Read what the bonus of a top-up is for: it expires by itself, or never."""
    expires = _ahead(fields, "bonus_credits_expiry_date_utc", now)
    return replace(why, reason=FREE, idempotency_key=None, expires=expires)


def why_loaded(fields: Fields) -> Why:
    """Read what a wallet begins with: it expires at a time, or on a day written YYYYMMDD."""
    at = moment_in(fields, "initial_credits_expiry_date_utc")
    day = fields.get(_DAY)
    if at is None and day not in (None, ""):
        try:
            at = datetime.strptime(f"{day}Z", "%Y%m%d%z")
        except ValueError:
            raise RatingError(f"{_DAY} is a day as YYYYMMDD.", field=_DAY) from None
    return Why(FREE, expires=at)


def _ahead(fields: Fields, name: str, now: datetime) -> datetime | None:
    expires = moment_in(fields, name)
    if expires is not None and expires <= now:
        raise RatingError("An expiry date lies ahead.", field=name)
    return expires


def repeated(ledger: Ledger, wallet: Wallet, key: str | None, kind: str) -> Transaction | None:
    """Find what a request with this idempotency key did before; refuse what is another thing."""
    made = ledger.repeated(wallet.id, key) if key else None
    if made is not None and made.type != kind:
        raise AlreadyExistsError(
            f"The idempotency key {key!r} is of a {made.type} already; take another one."
        )
    return made


def posted(made: Transaction, wallet: Wallet, account: Account) -> dict[str, Any]:
    """Answer with the transaction and the wallet."""
    return {
        "wallet_transaction": transaction_body(made, wallet),
        "wallet": body_of(wallet, account.balance.credit_balance),
    }
