"""A wallet's real-time balance, and what follows from it: alerts, an automatic top-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tokenmeter.engine.account import Account, Why
from tokenmeter.engine.alerts import Alert
from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.wallet import OK, AutoTopUp, Wallet, body_of, transaction_body
from tokenmeter.rating.credits import Owed, real_time_balance, to_amount, to_credits
from tokenmeter.rating.define import mapping_in, moment_in
from tokenmeter.rating.rounding import ZERO, minus, plain

AUTO_TOP_UP = "PURCHASED_CREDIT_DIRECT"
LAST = "last_topped_up_at"


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look at a wallet found: its alert state, what to tell, what to write."""

    state: str
    alerts: tuple[Alert, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])


def watched(account: Account, wallet: Wallet, owed: Owed, now: datetime) -> Watched:
    """Top up if the balance is low, and tell once when it comes to another level."""
    alerts: list[Alert] = []
    changes: dict[str, Any] = {}
    if wallet.auto and _tops_up(wallet, wallet.auto, _left(account, wallet, owed), now):
        made = account.credit(wallet.auto.amount, Why(AUTO_TOP_UP, "AUTO_TOPUP"))
        settings = mapping_in(wallet.document.body, "auto_topup")
        changes["auto_topup"] = {**settings, LAST: rfc3339(now)}
        posted = transaction_body(made, wallet)
        alerts.append(Alert("wallet.topped_up", {"wallet_id": wallet.id, "transaction": posted}))
    left = _left(account, wallet, owed)
    state = wallet.level(left)
    if state != wallet.alert_state:
        changes["alert_state"] = state
        alerts.append(Alert("wallet.alert", _told(wallet, state, left)))
    return Watched(state, tuple(alerts), changes)


def is_due(wallet: Wallet, left: Decimal) -> bool:
    """Tell whether a balance (money) is at another level than the last alert, or to be filled."""
    low = wallet.auto and to_credits(left, wallet.rate) <= wallet.auto.threshold
    return bool(low) or wallet.level(left) != wallet.alert_state


def real_time_body(account: Account, wallet: Wallet, owed: Owed, now: datetime) -> dict[str, Any]:
    """Write a wallet with its real-time balance, in Flexprice's fields; and what is held."""
    left = _left(account, wallet, owed)
    whole = to_amount(account.balance.credit_balance, wallet.rate)
    return {
        **body_of(wallet, account.balance.credit_balance),
        "real_time_balance": plain(left),
        "real_time_credit_balance": plain(to_credits(left, wallet.rate)),
        "balance_updated_at": rfc3339(now),
        "current_period_usage": plain(ZERO if wallet.post_paid else minus(whole, left)),
        "unpaid_invoices_amount": plain(owed.unpaid_usage),
        "held_amount": plain(account.balance.held),
        "available_balance": plain(minus(left, account.balance.held)),
        "is_cached_fallback": False,
    }


def _left(account: Account, wallet: Wallet, owed: Owed) -> Decimal:
    balance = to_amount(account.balance.credit_balance, wallet.rate)
    return real_time_balance(balance, owed, wallet.price_types, post_paid=wallet.post_paid)


def _tops_up(wallet: Wallet, auto: AutoTopUp, left: Decimal, now: datetime) -> bool:
    last = moment_in(mapping_in(wallet.document.body, "auto_topup"), LAST)
    rests = last is not None and last <= now < last + timedelta(seconds=auto.cooldown_s)
    return not rests and to_credits(left, wallet.rate) <= auto.threshold


def _told(wallet: Wallet, state: str, left: Decimal) -> dict[str, Any]:
    return {
        "wallet_id": wallet.id,
        "customer_id": wallet.customer_id,
        "alert_state": state,
        "alert_type": "recovered" if state == OK else "low_balance",
        "real_time_balance": plain(left),
        "currency": wallet.currency,
    }
