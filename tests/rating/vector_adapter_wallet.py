"""From a row's input to our functions: credits, and the words of an entitlement's grant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.rating.vectors import Adapter, Input, decimal, moment
from tokenmeter.rating.credits import (
    BonusSlab,
    Credit,
    Owed,
    bonus,
    bonus_slab,
    draw,
    real_time_balance,
    to_amount,
)
from tokenmeter.rating.entitlement import (
    AGGREGATION_MODES,
    ALLOCATIONS,
    GRANT_MEASURES,
    GRANT_SCOPES,
    GRANT_UNIT_NAMES,
    check_choice,
    duration,
    grant_duration,
)
from tokenmeter.rating.rounding import plus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _conversion(given: Input) -> dict[str, object]:
    return {"amount": to_amount(decimal(given["credits"]), decimal(given["conversion_rate"]))}


def _debit(given: Input) -> dict[str, object]:
    held = [_credit(c, i) for i, c in enumerate(given["credits"])]
    amount = decimal(given["debit"])
    manual = given.get("reason") == "MANUAL_BALANCE_DEBIT"
    taken = draw(held, amount, NOW, overdraw=manual)
    balance = plus(c.amount for c in held) - amount
    assert balance == plus(c.amount for c in held) - plus(d.amount for d in taken) or manual
    return {"credit_balance": balance, "consumed": [d.amount for d in taken]}


def _credit(given: Any, index: int) -> Credit:
    fields: Input = {"amount": given} if isinstance(given, str) else given
    expiry = fields.get("expiry")
    expires = moment(expiry) if expiry else None
    return Credit(str(index), decimal(fields["amount"]), fields.get("priority"), expires)


def _real_time(given: Input) -> dict[str, object]:
    owed = Owed(
        current_usage=decimal(given.get("current_period_usage", 0)),
        unpaid_usage=decimal(given.get("unpaid_usage_part", 0)),
        unpaid_total=decimal(given.get("unpaid_total", 0)),
        paid_in_part=decimal(given.get("paid_on_unpaid", 0)),
    )
    balance = to_amount(decimal(given["credit_balance"]), decimal(given["conversion_rate"]))
    left = real_time_balance(
        balance,
        owed,
        given.get("allowed_price_types") or (),
        post_paid=given["wallet_type"] == "POST_PAID",
    )
    return {"real_time_balance": left}


def _slabs(given: Input) -> list[BonusSlab]:
    return [
        BonusSlab(
            decimal(s["threshold"]),
            decimal(s["bonus"]["value"]),
            is_percentage=s["bonus"]["type"] == "percentage",
        )
        for s in given["slabs"]
        if s["operator"] == "gte"  # the only operator there is
    ]


def _bonus_slab(given: Input) -> dict[str, object]:
    slab = bonus_slab(_slabs(given), decimal(given["credits"]))
    return {"threshold": slab and slab.threshold}


def _bonus(given: Input) -> dict[str, object]:
    return {"bonus_credits": bonus(_slabs(given), decimal(given["credits"]))}


def _choice(allowed: frozenset[str], field: str) -> Adapter:
    def adapter(given: Input) -> dict[str, object]:
        check_choice(given["value"], allowed, field)
        return {"error": False}

    return adapter


def _duration(given: Input) -> dict[str, object]:
    return {"error": False, "length": duration(given["value"], given["unit"])}


def _grant_duration(given: Input) -> dict[str, object]:
    length = grant_duration(given["value"], given["unit"])
    seconds = int(length.total_seconds())
    return {"error": False, "seconds": seconds, "hours": seconds // 3600}


ADAPTERS: dict[str, Adapter] = {
    "wallet.conversion": _conversion,
    "wallet.debit": _debit,
    "wallet.realtime_balance": _real_time,
    "wallet.bonus_slab": _bonus_slab,
    "wallet.bonus_resolve": _bonus,
    "validation.duration": _duration,
    "validation.grant_duration": _grant_duration,
    "validation.entitlement_aggregation_mode": _choice(AGGREGATION_MODES, "aggregation_mode"),
    "validation.entitlement_grant_measure": _choice(GRANT_MEASURES, "grant_measure"),
    "validation.entitlement_grant_scope_entity_type": _choice(GRANT_SCOPES, "scope_entity_type"),
    "validation.entitlement_grant_duration_unit": _choice(GRANT_UNIT_NAMES, "grant_duration_unit"),
    "validation.entitlement_grant_allocation_behavior": _choice(
        ALLOCATIONS, "grant_allocation_behavior"
    ),
}
