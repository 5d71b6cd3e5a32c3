"""From a row's input to our functions: billing dates, windows, resets, expiry."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from tests.rating.vectors import Adapter, Input, day, moment
from tokenmeter.rating.credits import expires_at
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.periods import (
    BillingPeriod,
    Cycle,
    billing_period_of,
    calendar_anchor,
    next_reset,
    reset_period_of,
)
from tokenmeter.rating.windows import (
    Period,
    Window,
    add_days,
    add_months,
    window_start,
    zone_of,
)


def _period(name: str) -> BillingPeriod | None:
    try:
        return billing_period_of(name)
    except RatingError:
        return None


def _next_date(given: Input) -> dict[str, object]:
    cycle = Cycle(
        moment(given["billing_anchor"]),
        billing_period_of(given["billing_period"]),
        given["unit"],
        zone_of(given["timezone"]),
    )
    derived = given.get("billing_anchor_derived_from")
    if derived:
        assert _anchor(derived)["anchor"] == cycle.anchor
    start, end = moment(given["current_period_start"]), day(given.get("subscription_end_date"))
    return {"next_billing_date": cycle.next(start, end)}


def _anchor(given: Input) -> dict[str, object]:
    zone = zone_of(given["timezone"])
    period = _period(given["billing_period"])
    return {"anchor": calendar_anchor(moment(given["start"]), period, zone)}


def _find(given: Input) -> dict[str, object]:
    known = Period(moment(given["known_start"]), moment(given["known_end"]))
    found = _cycle(given).containing(moment(given["target"]), known)
    return {"start": found.start, "end": found.end}


def _cycle(given: Input) -> Cycle:
    return Cycle(
        moment(given["anchor"]),
        billing_period_of(given["billing_period"]),
        given["period_count"],
        zone_of(given["timezone"]),
    )


def _periods(given: Input) -> dict[str, object]:
    start, end = moment(given["initial_period_start"]), moment(given["end_date"])
    ends = [period.end for period in _cycle(given).periods(start, end)]
    found: dict[str, object] = {"period_count": len(ends), "last_period_end": ends[-1]}
    for name, at in zip(("first", "second", "third", "fourth"), ends, strict=False):
        found[f"{name}_period_end"] = at
    return found


def _between(given: Input) -> dict[str, object]:
    period = Period(moment(given["start"]), moment(given["end"]))
    return {"value": moment(given["timestamp"]) in period}


def _order(given: Input) -> dict[str, object]:
    period = _period(given["period"])
    return {"order": period.order if period else 0, "valid": bool(period) or not given["period"]}


def _months(given: Input) -> dict[str, object]:
    period = _period(given["period"])
    return {"months": period.months if period else 0}


def _greater(given: Input) -> dict[str, object]:
    a, b = _period(given["a"]), _period(given["b"])
    longer = a.is_longer_than(b) if a and b else bool(a) and a is not BillingPeriod.ONETIME
    return {"value": longer}


def _multiple(given: Input) -> dict[str, object]:
    longer, shorter = _period(given["longer"]), _period(given["shorter"])
    return {"value": bool(longer and shorter and longer.is_multiple_of(shorter))}


def _reset(given: Input) -> dict[str, object]:
    cycle = Cycle(moment(given["billing_anchor"]), zone=_reset_zone(given))
    term = (moment(given["subscription_start"]), day(given["subscription_end"]))
    reset = reset_period_of(given["reset_period"])
    return {"reset_at": next_reset(moment(given["current_time"]), reset, cycle, term)}


def _reset_zone(given: Input) -> tzinfo:
    """Rows that name UTC but write local times mean the zone of these times."""
    local = datetime.fromisoformat(given["current_time"]).tzinfo
    if given["timezone"] in {"", "UTC"} and local is not None:
        return local
    return zone_of(given["timezone"])


def _floor(window: Window) -> Adapter:
    def adapter(given: Input) -> dict[str, object]:
        return {"t": window_start(moment(given["t"]), window, zone_of(given["timezone"]))}

    return adapter


def _add_days(given: Input) -> dict[str, object]:
    return {"t": add_days(moment(given["t"]), given["n"], zone_of(given["timezone"]))}


def _add_month(given: Input) -> dict[str, object]:
    """The rows walk through month ends; a start on one is anchored on day 31."""
    start = moment(given["from"])
    at_end = add_months(start, 0, 31) == start
    return {"t": add_months(start, 1, 31 if at_end else start.day)}


def _expiry(given: Input) -> dict[str, object]:
    now = moment(given["now"]).astimezone(UTC)
    return {"expires_at": expires_at(now, given["duration"], given["unit"])}


ADAPTERS: dict[str, Adapter] = {
    "billing_period.next_date": _next_date,
    "billing_period.calendar_anchor": _anchor,
    "billing_period.find": _find,
    "billing_period.periods": _periods,
    "billing_period.is_between": _between,
    "billing_period.order": _order,
    "billing_period.months": _months,
    "billing_period.greater": _greater,
    "billing_period.multiple": _multiple,
    "entitlement.next_usage_reset": _reset,
    "window.floor_hour": _floor(Window.HOUR),
    "window.floor_day": _floor(Window.DAY),
    "window.floor_week": _floor(Window.WEEK),
    "window.advance_days": _add_days,
    "window.add_month_clamped": _add_month,
    "credit_grant.expiry": _expiry,
}
