"""From a row's input to our functions: entitlements, commitments, proration."""

from __future__ import annotations

from decimal import Decimal

from tests.rating.vector_adapter_pricing import usage_price
from tests.rating.vectors import Adapter, Input, decimal, moment
from tokenmeter.rating import proration
from tokenmeter.rating.adjust import Terms, rate
from tokenmeter.rating.aggregation import Measurement
from tokenmeter.rating.commitment import (
    Commitment,
    CommitmentType,
    UsageCharge,
    commit,
    commit_windows,
    commitment_type_of,
    settle,
    settle_cumulative,
    true_up,
)
from tokenmeter.rating.define import define_model
from tokenmeter.rating.entitlement import Entitlement, grant_overage
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.models import FlatFee, total
from tokenmeter.rating.periods import reset_period_of
from tokenmeter.rating.rounding import plus, rounded
from tokenmeter.rating.windows import Period, zone_of


def _billing(given: Input) -> dict[str, object]:
    resets = given.get("daily_usage", given.get("monthly_usage"))
    windows = None if resets is None else tuple(decimal(v) for v in resets)
    usage = decimal(given["usage"]) if windows is None else plus(windows)
    terms = Terms(entitlement=_entitlement(given["entitlement"]), usage_windows=windows)
    charge = rate(usage_price(given["price"]), Measurement(usage), terms)
    return {
        "amount": charge.amount,
        "billable_quantity": charge.quantity,
        "adjusted_entitlement_quantity": charge.included,
    }


def _entitlement(fields: Input | None) -> Entitlement | None:
    if fields is None:
        return None
    limit, reset = fields["usage_limit"], fields.get("usage_reset_period")
    return Entitlement(
        None if limit is None else decimal(limit),
        fields.get("is_enabled", True),
        reset_period_of(reset) if reset else None,
        is_soft_limit=fields.get("is_soft_limit", False),
    )


def _overage(given: Input) -> dict[str, object]:
    return {"overage": grant_overage(decimal(given["quota"]), decimal(given["usage"]))}


def _math(given: Input) -> dict[str, object]:
    if "normal_charges" in given:
        return _two_lines(given)
    if given["level"] == "line_item":
        return _windowed(given) if given.get("windowed") else _line_item(given)
    return _subscription(given)


def _two_lines(given: Input) -> dict[str, object]:
    """Usage that a commitment with factor 2 splits into the row's normal and overage charges."""
    normal = [decimal(v) for v in given["normal_charges"]]
    over = [decimal(v) for v in given["overage_charges"]]
    charges = [UsageCharge("n", v) for v in normal] + [UsageCharge("o", v / 2) for v in over]
    found = settle(charges, Commitment(plus(normal), overage_factor=Decimal(2)))
    return {"total": found.total, "lines": len(found.portions)}


def _promise(given: Input) -> Commitment:
    return Commitment(
        decimal(given["commitment"]),
        commitment_type_of(given.get("commitment_type", "amount")),
        decimal(given.get("overage_factor", 1)),
        true_up=bool(given.get("true_up")),
    )


def _line_item(given: Input) -> dict[str, object]:
    promise = _promise(given)
    if "normal" in given:
        found = commit(decimal(given["normal"]), promise, FlatFee(Decimal(1)))
        charge = found.charge + decimal(given.get("overage", 0))
        return {"total": charge, "amount": charge}
    model = define_model(given["price"])
    found = commit(total(model.lines(decimal(given["quantity"]))), promise, model)
    return {"total": found.charge, "amount": found.charge}


def _windowed(given: Input) -> dict[str, object]:
    model = define_model(given["price"])
    values = [decimal(v) for v in given["bucket_values"]]
    charge = plus(c.charge for c in commit_windows(values, _promise(given), model))
    return {"amount": charge, "total": charge}


def _subscription(given: Input) -> dict[str, object]:
    charges = [UsageCharge(str(i), decimal(v)) for i, v in enumerate(given["current_items"])]
    promise = _promise(given)
    if "commitment_duration" in given:
        prior = plus(decimal(v) for v in given.get("prior_period_charges", []))
        last = bool(given.get("last_period"))
        found = settle_cumulative(charges, promise, prior, last=last)
    else:
        found = settle(charges, promise)
    lines = [rounded(p.amount, "usd") for p in found.portions if not p.is_overage]
    return {"total": found.total, "overage_line": found.overage, "normal_lines": lines}


def _true_up(given: Input) -> dict[str, object]:
    committed, used = decimal(given["commitment_amount"]), decimal(given["used_amount"])
    return {"true_up": true_up(committed, used, given["currency"])}


def _commitment_type(given: Input) -> dict[str, object]:
    return {"valid": given["commitment_type"] in set(CommitmentType)}


def _cap(given: Input) -> dict[str, object]:
    names = ("potential_credit", "original_amount", "previous_credits")
    return {"credit": proration.capped_credit(*(decimal(given[name]) for name in names))}


def _days(given: Input) -> dict[str, object]:
    """The rows write local times as if they were UTC."""
    zone = zone_of(given["timezone"])
    start, end = (moment(given[k]).replace(tzinfo=zone) for k in ("start", "end"))
    return {"days": proration.local_days(start, end, zone)}


def _credit_grant(given: Input) -> dict[str, object]:
    share = proration.share_left(
        Period(moment(given["periodStart"]), moment(given["periodEnd"])),
        moment(given["prorationDate"]),
        proration.Strategy(given.get("strategy") or "second_based"),
        zone_of(given.get("timezone", "")),
    )
    credits_ = proration.prorated_credits(decimal(given["credits"]), share)
    return {"coefficient": share, "credits": credits_}


def _add_item(given: Input) -> dict[str, object]:
    change = proration.Change(
        proration.Action.ADD_ITEM,
        moment(given["effective_date"]),
        Period(moment(given["period_start"]), moment(given["period_end"])),
        "UTC",
        "usd",
        new=proration.Item("new", decimal(given["quantity"]), decimal(given["price"])),
        strategy=proration.Strategy(given["strategy"]),
    )
    return {"charge": proration.prorate(change).net}


def _calculate(given: Input) -> dict[str, object]:
    if given["ProrationBehavior"] == "none":
        return {"NetAmount": None}
    # What a Change cannot be made without is refused where a request is read.
    for name in ("ProrationDate", "CurrentPeriodStart", "CurrentPeriodEnd"):
        if not given.get(name):
            raise RatingError(f"{name} is required")
    found = proration.prorate(_change(given))
    return {
        "NetAmount": found.net,
        "Action": given["Action"],
        "ProrationDate": moment(given["ProrationDate"]),
        "Currency": given["Currency"],
        "IsPreview": False,
        "CreditItems": [_prorated(i, is_credit=True) for i in found.credits],
        "ChargeItems": [_prorated(i, is_credit=False) for i in found.charges],
        "CurrentPeriodStart": moment(given["CurrentPeriodStart"]),
        "CurrentPeriodEnd": moment(given["CurrentPeriodEnd"]),
    }


def _change(given: Input) -> proration.Change:
    refund = given.get("RefundEligible") and given.get("CancellationType") == "immediate"
    return proration.Change(
        _action(given["Action"]),
        moment(given["ProrationDate"]),
        Period(moment(given["CurrentPeriodStart"]), moment(given["CurrentPeriodEnd"])),
        given.get("Timezone", ""),
        given["Currency"],
        old=_item(given, "Old"),
        new=_item(given, "New"),
        strategy=proration.Strategy(given["ProrationStrategy"]),
        paid_in_advance=given.get("PlanPayInAdvance", False),
        amount_paid=decimal(given.get("OriginalAmountPaid", 0)),
        amount_credited=decimal(given.get("PreviousCreditsIssued", 0)),
        refund=bool(refund),
    )


def _action(name: str) -> proration.Action:
    try:
        return proration.Action(name)
    except ValueError as error:
        raise RatingError(f"invalid proration action: {name}") from error


def _item(given: Input, age: str) -> proration.Item | None:
    price_id = given.get(f"{age}PriceID")
    if not price_id:
        return None
    quantity = decimal(given.get(f"{age}Quantity", 0))
    return proration.Item(price_id, quantity, decimal(given.get(f"{age}PricePerUnit", 0)))


def _prorated(item: proration.ProratedItem, *, is_credit: bool) -> dict[str, object]:
    return {
        "Description": item.description,
        "Amount": item.amount,
        "StartDate": item.period.start,
        "EndDate": item.period.end,
        "Quantity": item.quantity,
        "PriceID": item.price_id,
        "IsCredit": is_credit,
    }


ADAPTERS: dict[str, Adapter] = {
    "entitlement.billing": _billing,
    "entitlement.grant_overage": _overage,
    "commitment.math": _math,
    "commitment.true_up": _true_up,
    "validation.commitment_type": _commitment_type,
    "proration.cap_credit": _cap,
    "proration.days_dst": _days,
    "proration.credit_grant": _credit_grant,
    "proration.add_item": _add_item,
    "proration.calculate": _calculate,
}
