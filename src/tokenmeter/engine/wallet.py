"""What a wallet is set up to do: its document, read once and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.store.documents import Document
from tokenmeter.engine.store.ledger import Transaction
from tokenmeter.engine.store.rows import moment
from tokenmeter.rating.credits import to_amount
from tokenmeter.rating.define import Fields, mapping_in, number_in, sequence_in, text_in
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import text
from tokenmeter.rating.rounding import ONE, ZERO, plain

PRE_PAID, POST_PAID = "PRE_PAID", "POST_PAID"
ACTIVE, CLOSED = "active", "closed"
PRICE_TYPES = frozenset({"USAGE", "FIXED", "ALL"})
LEVELS = ("critical", "warning", "info")  # the worst first
OK = "ok"
CONDITIONS = frozenset({"below", "above"})


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level of the real-time balance at which an alert is due."""

    level: str
    value: Decimal
    above: bool = False

    def is_crossed(self, balance: Decimal) -> bool:
        """Tell whether the balance is at or beyond it."""
        return balance >= self.value if self.above else balance <= self.value


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """Credits that are added when the real-time balance in credits falls to a threshold."""

    threshold: Decimal
    amount: Decimal
    cooldown_s: int = 0


@dataclass(frozen=True, slots=True)
class Wallet:
    """One wallet's settings; balances are in the ledger. Money = credits x `rate`."""

    id: str
    customer_id: str
    currency: str
    rate: Decimal
    topup_rate: Decimal
    post_paid: bool
    price_types: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    auto: AutoTopUp | None
    document: Document

    @property
    def is_active(self) -> bool:
        """Tell whether it has not been terminated."""
        return bool(self.document.body.get("wallet_status") == ACTIVE)

    @property
    def alert_state(self) -> str:
        """The level of the last alert, or ok."""
        return str(self.document.body.get("alert_state") or OK)

    def level(self, balance: Decimal) -> str:
        """Tell which level a real-time balance (money) is at."""
        return next((t.level for t in self.thresholds if t.is_crossed(balance)), OK)


def wallet_of(document: Document) -> Wallet:
    """Read a wallet's document; what is wrong in it raises RatingError with the field."""
    body = document.body
    rate = rate_in(body, "conversion_rate")
    kind = text_in(body, "wallet_type") or PRE_PAID
    if kind not in {PRE_PAID, POST_PAID}:
        raise RatingError("A wallet is PRE_PAID or POST_PAID.", field="wallet_type")
    types = tuple(text(t) for t in sequence_in(mapping_in(body, "config"), "allowed_price_types"))
    if not PRICE_TYPES.issuperset(types):
        raise RatingError("A wallet pays for USAGE, FIXED or ALL.", field="allowed_price_types")
    return Wallet(
        document.id,
        text_in(body, "customer_id"),
        text_in(body, "currency").lower(),
        rate,
        rate_in(body, "topup_conversion_rate", rate),
        kind == POST_PAID,
        types,
        _thresholds(mapping_in(body, "alert_settings")),
        _auto(mapping_in(body, "auto_topup")),
        document,
    )


def rate_in(fields: Fields, name: str, default: Decimal = ONE) -> Decimal:
    """Read a conversion rate, which is above 0."""
    rate = number_in(fields, name)
    if rate is not None and rate <= 0:
        raise RatingError("A conversion rate is above 0.", field=name)
    return default if rate is None else rate


def _thresholds(settings: Fields) -> tuple[Threshold, ...]:
    if settings.get("alert_enabled") is False:
        return ()
    found: list[Threshold] = []
    for level in LEVELS:
        given = mapping_in(settings, level)
        value = number_in(given, "threshold")
        condition = text_in(given, "condition") or "below"
        if condition not in CONDITIONS:
            raise RatingError("A condition is above or below.", field=f"{level}.condition")
        if value is not None:
            found.append(Threshold(level, value, condition == "above"))
    return tuple(found)


def _auto(settings: Fields) -> AutoTopUp | None:
    if settings.get("enabled") is not True:
        return None
    threshold, amount = number_in(settings, "threshold"), number_in(settings, "amount")
    if threshold is None or amount is None or amount <= 0 or threshold < 0:
        raise RatingError(
            "An automatic top-up needs a threshold of at least 0 and an amount above 0.",
            field="auto_topup",
        )
    return AutoTopUp(threshold, amount, int(number_in(settings, "cooldown") or ZERO))


def body_of(wallet: Wallet, credit_balance: Decimal) -> dict[str, Any]:
    """Write a wallet as Flexprice does: settings and balance."""
    return {
        **wallet.document.body,
        "id": wallet.id,
        "balance": plain(to_amount(credit_balance, wallet.rate)),
        "credit_balance": plain(credit_balance),
    }


def transaction_body(transaction: Transaction, wallet: Wallet) -> dict[str, Any]:
    """Write a line of the ledger as Flexprice does."""
    at = rfc3339(moment(transaction.created_us))
    expiry = transaction.expires_us
    return {
        "id": transaction.id,
        "wallet_id": wallet.id,
        "customer_id": wallet.customer_id,
        "type": transaction.type,
        "amount": plain(transaction.amount),
        "credit_amount": plain(transaction.credit_amount),
        "credit_balance_before": plain(transaction.balance_before),
        "credit_balance_after": plain(transaction.balance_after),
        "transaction_status": transaction.status,
        "transaction_reason": transaction.reason,
        "reference_type": transaction.reference_type,
        "reference_id": transaction.reference_id,
        "idempotency_key": transaction.idempotency_key,
        "expiry_date": None if expiry is None else rfc3339(moment(expiry)),
        "priority": transaction.priority,
        "currency": wallet.currency,
        "conversion_rate": plain(wallet.rate),
        "created_at": at,
        "updated_at": at,
    }


def defaults(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what Flexprice fills in when a wallet is created."""
    kind = text_in(fields, "wallet_type") or PRE_PAID
    rate = plain(rate_in(fields, "conversion_rate"))
    return {
        "wallet_type": kind,
        "wallet_status": ACTIVE,
        "conversion_rate": rate,
        "topup_conversion_rate": rate,
        "config": {"allowed_price_types": ["USAGE" if kind == PRE_PAID else "ALL"]},
        "alert_state": OK,
        "metadata": {},
    }
