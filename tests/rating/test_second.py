"""
A second, plain computation of what Flexprice's rules say, beside ours.

The rules are written here from the facts, step by step and without our code; the inputs have the
form of the vectors, so that the adapters that read these are tried as well.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rating.test_vectors import ADAPTERS
from tests.rating.vectors import moment

PLACES = {"usd": 2, "eur": 2, "inr": 2, "jpy": 0, "krw": 0, "kwd": 3, "clf": 4, "zzz": 2}
ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
ZERO = Decimal(0)

amounts = st.decimals(0, 100, places=6).map(str)
quantities = st.one_of(
    st.sampled_from(["0", "1", "10", "0.000000000000001", "1e15", "99.5"]),
    st.decimals(0, 10**6, places=3).map(str),
)
currencies = st.sampled_from(sorted(PLACES))


@st.composite
def tiers(draw: st.DrawFn) -> list[dict[str, Any]]:
    bounds = sorted(draw(st.sets(st.integers(1, 1_000), max_size=4)))
    made: list[dict[str, Any]] = []
    for bound in [*bounds, None]:
        tier: dict[str, Any] = {"up_to": bound, "unit_amount": draw(amounts)}
        if draw(st.booleans()):
            tier["flat_amount"] = draw(amounts)
        made.append(tier)
    return made


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    model = draw(st.sampled_from(["FLAT_FEE", "PACKAGE", "TIERED"]))
    price: dict[str, Any] = {"billing_model": model, "currency": draw(currencies)}
    if model == "TIERED":
        mode = draw(st.sampled_from(["VOLUME", "SLAB"]))
        return {**price, "tier_mode": mode, "tiers": draw(tiers())}
    price["amount"] = draw(amounts)
    if model == "PACKAGE":
        rule = {
            "divide_by": draw(st.integers(1, 500)),
            "round": draw(st.sampled_from(["up", "down"])),
        }
        price["transform_quantity"] = rule
    return price


def rounded(amount: Decimal, currency: str) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-PLACES[currency]), ROUND_HALF_UP)


def tiered(price: dict[str, Any], quantity: Decimal) -> Decimal:
    held = price["tiers"]
    if price["tier_mode"] == "VOLUME":
        tier = next(t for t in held if t["up_to"] is None or quantity <= t["up_to"])
        return quantity * Decimal(tier["unit_amount"]) + Decimal(tier.get("flat_amount", 0))
    left, start, total = quantity, ZERO, ZERO
    for tier in held:
        here = left if tier["up_to"] is None else min(left, tier["up_to"] - start)
        start = start if tier["up_to"] is None else Decimal(tier["up_to"])
        total += here * Decimal(tier["unit_amount"]) + Decimal(tier.get("flat_amount", 0))
        left -= here
        if left <= 0:
            break
    return total


def cost(price: dict[str, Any], quantity: Decimal) -> Decimal:
    if not quantity:
        return ZERO
    if price["billing_model"] == "TIERED":
        return tiered(price, quantity)
    if price["billing_model"] == "FLAT_FEE":
        return quantity * Decimal(price["amount"])
    rule = price["transform_quantity"]
    mode = ROUND_FLOOR if rule["round"] == "down" else ROUND_CEILING
    packages = (quantity / Decimal(rule["divide_by"])).quantize(Decimal(1), mode)
    return packages * Decimal(price["amount"])


@given(prices(), quantities)
def test_a_quantity_costs_what_the_rules_say(price: dict[str, Any], quantity: str) -> None:
    for area in ("rating.breakup", "rating.slab", "rating.package"):
        found = ADAPTERS[area]({"price": price, "quantity": quantity})
        assert found["cost"] == cost(price, Decimal(quantity))


@given(prices(), st.lists(quantities, min_size=1, max_size=5))
def test_buckets_are_priced_one_by_one_and_rounded_once(
    price: dict[str, Any], buckets: list[str]
) -> None:
    each = tiered if price["billing_model"] == "TIERED" else cost
    total = sum((each(price, Decimal(b)) for b in buckets), ZERO)
    found = ADAPTERS["rating.bucketed"]({"price": price, "bucket_values": buckets})
    assert found["cost"] == rounded(total, price["currency"])


@given(
    prices(),
    st.lists(st.decimals(0, 500, places=1), min_size=1, max_size=4),
    st.one_of(st.none(), st.integers(0, 500)),
    st.sampled_from([None, "DAILY", "MONTHLY", "NEVER"]),
    st.booleans(),
)
def test_an_allowance_comes_off_before_the_price(
    price: dict[str, Any],
    usages: list[Decimal],
    limit: int | None,
    reset: str | None,
    is_enabled: bool,
) -> None:
    held = {"usage_limit": limit, "is_enabled": is_enabled, "usage_reset_period": reset}
    given_: dict[str, Any] = {"price": price, "entitlement": held}
    whole = sum(usages, ZERO)
    if reset in {"DAILY", "MONTHLY"}:
        given_[f"{reset.lower()}_usage"] = [str(u) for u in usages]
        parts = usages
    else:
        given_["usage"] = str(whole)
        parts = [whole]
    billable = whole
    if is_enabled:
        billable = ZERO if limit is None else sum((max(ZERO, u - limit) for u in parts), ZERO)
    found = ADAPTERS["entitlement.billing"](given_)
    assert found["amount"] == rounded(cost(price, billable), price["currency"])
    assert found["billable_quantity"] == billable


@given(
    prices(),
    st.lists(quantities, min_size=1, max_size=4),
    st.decimals(1, 1_000, places=2),
    st.sampled_from(["1", "1.5", "2"]),
    st.booleans(),
    st.booleans(),
)
def test_a_line_items_commitment_is_a_floor_and_a_factor(
    price: dict[str, Any],
    windows: list[str],
    promised: Decimal,
    factor: str,
    true_up: bool,
    by_quantity: bool,
) -> None:
    worth = cost(price, promised) if by_quantity else promised

    def charged(amount: Decimal) -> Decimal:
        if amount <= worth:
            return worth if true_up else amount
        return worth + (amount - worth) * Decimal(factor)

    row: dict[str, Any] = {
        "level": "line_item",
        "price": price,
        "commitment": str(promised),
        "commitment_type": "quantity" if by_quantity else "amount",
        "overage_factor": factor,
        "true_up": true_up,
    }
    adapter = ADAPTERS["commitment.math"]
    one = adapter({**row, "quantity": windows[0]})
    assert one["total"] == charged(cost(price, Decimal(windows[0])))
    several = adapter({**row, "windowed": True, "bucket_values": windows})
    with localcontext(prec=100):  # a sum of more digits than a Decimal has by itself
        expected = sum((charged(cost(price, Decimal(w))) for w in windows), ZERO)
    assert several["total"] == expected


def next_date(row: dict[str, Any]) -> datetime:
    zone = ZoneInfo(row["timezone"])
    cur = moment(row["current_period_start"]).astimezone(zone)
    anchor = moment(row["billing_anchor"]).astimezone(zone)
    unit, period = row["unit"], row["billing_period"]
    if period in {"DAILY", "WEEKLY"}:
        ahead = (anchor.weekday() - cur.weekday()) % 7
        week = 7 * unit if not ahead else ahead + 7 * (unit - 1)
        day = cur.date() + timedelta(days=unit if period == "DAILY" else week)
        return datetime.combine(day, anchor.time(), zone).astimezone(UTC)
    if period in {"QUARTERLY", "HALF_YEARLY"} and cur < anchor:
        return anchor.astimezone(UTC)
    months = {"MONTHLY": 1, "QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUAL": 12}[period] * unit
    year, month = cur.year, cur.month
    if period == "MONTHLY" and cur.day < min(anchor.day, calendar.monthrange(year, month)[1]):
        months = 0
    if period == "ANNUAL":
        month = anchor.month
    year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    day_ = min(anchor.day, calendar.monthrange(year, month)[1])
    return datetime(
        year, month, day_, anchor.hour, anchor.minute, anchor.second, tzinfo=zone
    ).astimezone(UTC)


seconds = st.datetimes(datetime(2019, 1, 1), datetime(2032, 12, 31)).map(  # noqa: DTZ001
    lambda d: d.replace(microsecond=0, tzinfo=UTC).isoformat()
)


@given(
    seconds,
    seconds,
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUAL"]),
    st.integers(1, 14),
    st.sampled_from(ZONES),
)
def test_the_next_billing_date_is_on_the_anchors_day_and_clock(
    start: str, anchor: str, period: str, unit: int, zone: str
) -> None:
    row = {
        "current_period_start": start,
        "billing_anchor": anchor,
        "billing_period": period,
        "unit": unit,
        "timezone": zone,
    }
    found = ADAPTERS["billing_period.next_date"](row)
    assert found["next_billing_date"] == next_date(row)


@given(
    seconds,
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUAL"]),
    st.sampled_from(ZONES),
)
def test_a_calendar_anchor_is_the_next_boundary(start: str, period: str, zone: str) -> None:
    here = moment(start).astimezone(ZoneInfo(zone))
    day = here.date()
    if period == "DAILY":
        day += timedelta(days=1)
    elif period == "WEEKLY":
        day += timedelta(days=7 - day.weekday())
    else:
        months = {"MONTHLY": 1, "QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUAL": 12}[period]
        ahead = (day.month - 1) // months * months + months
        day = day.replace(year=day.year + ahead // 12, month=ahead % 12 + 1, day=1)
    wanted = datetime.combine(day, datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    row = {"start": start, "billing_period": period, "timezone": zone}
    assert ADAPTERS["billing_period.calendar_anchor"](row)["anchor"] == wanted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((5, "5"), (-5, "0"), (0, "0"), (2.5, "2.5"), ("7", "7"), ("-7", "0"), ("1e3", "1000")),
        *((True, "0"), (None, "0"), ("x", "0"), ("", "0"), ([1], "0"), ({"a": 1}, "0")),
        (10**18, str(10**18)),
        ("0.000000000000001", "0.000000000000001"),
    ],
)
def test_a_quantity_is_a_number_or_the_text_of_one_and_never_negative(
    value: object, expected: str
) -> None:
    row = {"aggregation": {"type": "SUM", "field": "v"}, "properties": {"v": value}}
    assert ADAPTERS["quantity.extract"](row)["quantity"] == Decimal(expected)
    several = {"type": "SUM_WITH_MULTIPLIER", "field": "v", "multiplier": 0.5}
    found = ADAPTERS["quantity.extract"]({**row, "aggregation": several})
    assert found["quantity"] == Decimal(expected) / 2 or Decimal(expected) < Decimal("1e-14")


@given(
    st.decimals(0, 10**9, places=5).map(str), st.decimals(0, 150, places=3).map(str), currencies
)
def test_discounts_and_taxes_are_rounded_one_by_one(
    amount: str, percent: str, currency: str
) -> None:
    exact = Decimal(amount) * Decimal(percent) / 100
    tax = ADAPTERS["tax.percentage"](
        {"taxable": amount, "rate_percent": percent, "currency": currency}
    )
    assert tax["tax"] == rounded(exact, currency)
    price = rounded(Decimal(amount), currency)
    row = {"price": str(price), "percentage_off": percent, "currency": currency}
    off = min(rounded(price * Decimal(percent) / 100, currency), price)
    assert ADAPTERS["coupon.percentage"](row) == {"discount": off, "final": price - off}


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "amount": st.integers(1, 100).map(str),
                "priority": st.one_of(st.none(), st.integers(0, 3)),
                "expiry": st.one_of(st.none(), st.sampled_from(["2036-03-01", "2035-01-01"])),
            }
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 100),
)
def test_credits_go_by_priority_then_expiry_then_size(
    credits_: list[dict[str, Any]], percent: int
) -> None:
    whole = sum(int(c["amount"]) for c in credits_)
    debit = max(1, whole * percent // 100)
    order = sorted(
        credits_,
        key=lambda c: (
            c["priority"] is None,
            c["priority"] or 0,
            c["expiry"] or "9999",
            -int(c["amount"]),
        ),
    )
    left, taken = debit, list[int]()
    for credit in order:
        part = min(left, int(credit["amount"]))
        left -= part
        taken += [part] if part else []
    found = ADAPTERS["wallet.debit"]({"credits": credits_, "debit": str(debit)})
    assert found == {"credit_balance": whole - debit, "consumed": taken}
