"""When a subscription's periods begin and end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.rating.periods import Cycle, billing_period_of
from tokenmeter.rating.windows import Period, zone_of

ACTIVE, CANCELLED = "active", "cancelled"


class Recurring(Protocol):
    """What is billed in periods, from a start on."""

    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime | None: ...
    @property
    def cycle(self) -> Cycle: ...


def cycle_of(body: Fields) -> Cycle:
    """Build the rhythm of a subscription from its body."""
    return Cycle(
        reading.moment(body, "billing_anchor") or start_of(body),
        billing_period_of(body["billing_period"]),
        reading.whole(body, "billing_period_count", least=1) or 1,
        zone_of(reading.text(body, "timezone")),
    )


def is_active(body: Fields, now: datetime) -> bool:
    """Tell whether a subscription is neither cancelled nor over: it runs, or is to begin."""
    end = reading.moment(body, "end_date")
    return body["subscription_status"] == ACTIVE and (end is None or now < end)


def start_of(body: Fields) -> datetime:
    """Return when a subscription starts."""
    return reading.moment(body, "start_date") or datetime.min.replace(tzinfo=UTC)


def current_period(body: Fields, now: datetime) -> Period:
    """
    Find the period that holds a moment.

    Before the start it is the first one; after the end the last one.
    """
    found = list(periods_until(body, now))
    return found[-1]


def own_period(contract: Recurring, moment: datetime) -> Period:
    """Find the billing period of a contract that holds a moment; see `current_period`."""
    start, end = contract.start, contract.end
    following = contract.cycle.next(start, end)
    while following <= moment and (end is None or following < end):
        start, following = following, contract.cycle.next(following, end)
    return Period(start, following)


def periods_until(body: Fields, moment: datetime) -> list[Period]:
    """List a subscription's periods, from the first to the one that holds a moment."""
    start, end = start_of(body), reading.moment(body, "end_date")
    cycle = cycle_of(body)
    found = [Period(start, cycle.next(start, end))]
    while found[-1].end <= moment and (end is None or found[-1].end < end):
        last = found[-1].end
        found.append(Period(last, cycle.next(last, end)))
    return found
