"""A customer's plan includes so much; beyond it a call is refused until the quota resets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.gate import FREE, Ask, Refused, Ticket, is_measured, references
from tokenmeter.enforcement.unsettled import UNSETTLED
from tokenmeter.event import Event
from tokenmeter.rating.filters import names_of
from tokenmeter.rating.meter import Meter

ZERO = Decimal(0)
NO_PLAN = Refusal(403, "No plan includes this call: the customer has no active subscription.")


class Quota(Protocol):
    """One included amount; see engine.quotas."""

    @property
    def feature(self) -> str: ...
    @property
    def meter(self) -> Meter: ...
    @property
    def limit(self) -> Decimal: ...
    @property
    def resets_at(self) -> datetime | None: ...


class QuotaDesk(Protocol):
    """
    What holds quantities of quotas: the local engine, for all processes of its database.

    `hold` raises an error with the `quota` that has no room, or one whose `has_plan` is False if
    the customer has none; anything else means: it cannot be known. Its answer is "" if no quota
    counts the call.
    """

    def hold(
        self,
        customer: str,
        wanted: Callable[[Any], Decimal | None],
        *,
        expires_s: float,
        reference: str,
    ) -> str: ...

    def ended(self, hold_id: str, event_ids: Sequence[str]) -> None: ...

    def forget(self, hold_id: str) -> None: ...

    def keep(self, hold_id: str, reference: str) -> None: ...

    def waiting(self, customer: str, reference: str) -> Sequence[str]: ...


class QuotaGate:
    """
    Refuses with 429 what a hard limit of the customer's entitlements does not include.

    Calls under way count with what is expected of them, until their events have arrived.
    """

    def __init__(self, desk: QuotaDesk, hold_s: float) -> None:
        self._desk = desk
        self._hold_s = hold_s

    def admit(self, ask: Ask) -> Ticket:
        """Count the call in, or refuse it."""
        if ask.customer is None:
            raise Refused(Refusal(401, "Nobody asks for this call; send the key you were given."))

        def wanted(quota: Quota) -> Decimal | None:
            return expected(quota, ask)

        try:
            hold_id = self._desk.hold(
                ask.customer, wanted, expires_s=self._hold_s, reference=ask.reference
            )
        except Exception as error:
            if not getattr(error, "has_plan", True):
                raise Refused(NO_PLAN) from error
            quota: Quota | None = getattr(error, "quota", None)
            if quota is None:
                raise
            raise Refused(_refusal(quota)) from error
        if not hold_id:
            return FREE
        UNSETTLED.begin(ask.reference)
        return _Counted(self, hold_id, ask.reference)

    def ended(self, hold_id: str, events: Sequence[Event]) -> None:
        """Let a call's estimate go as soon as its events have arrived, or at once without any."""
        if events:
            self._desk.ended(hold_id, [event.event_id for event in events])
        else:
            self._desk.forget(hold_id)

    def keep(self, hold_id: str, job: str) -> None:
        """Have an estimate known by the job that it is for, until its end."""
        self._desk.keep(hold_id, job)

    def job_ended(self, event: Event, job: str) -> None:
        """Let the estimate of a job go, which has counted since its submit."""
        customer = event.external_customer_id or ""
        for reference in references(event, job):
            waiting = self._desk.waiting(customer, reference)
            if waiting:
                self.ended(waiting[0], [event])
                for again in waiting[1:]:  # the provider took them for the same job
                    self.ended(again, [])
                break
        UNSETTLED.end(references(event))


def _refusal(quota: Quota) -> Refusal:
    says = f"The quota of {quota.limit} for {quota.feature} is used up"
    if quota.resets_at is None:
        return Refusal(429, f"{says}.")
    left_s = max(1, int((quota.resets_at - datetime.now(UTC)).total_seconds()) + 1)
    return Refusal(429, f"{says} until {quota.resets_at:%Y-%m-%d %H:%M} UTC.", left_s)


def expected(quota: Quota, ask: Ask) -> Decimal | None:
    """
    Return what a call is expected to take of a quota; None if it is not counted there.

    0 if nobody can say how much: such a call is refused when nothing is left.
    """
    if not ask.events:
        return ZERO
    found = [taken for event in ask.events if (taken := _taken(quota.meter, event)) is not None]
    return sum(found, ZERO) if found else None


def _taken(meter: Meter, event: Event) -> Decimal | None:
    """Return what a meter would count of an event; what is not known yet is no filter."""
    facts = event.properties
    known = tuple(
        rule for rule in meter.filters if not facts.keys().isdisjoint(names_of(rule.key))
    )
    sample = (meter if known == meter.filters else replace(meter, filters=known)).sample(event)
    if sample is None or (sample.lacks_field and is_measured(event)):
        return None  # of what is measured otherwise, it takes nothing
    return sample.quantity


@dataclass(frozen=True, slots=True)
class _Counted:
    """One call's share of the quotas."""

    gate: QuotaGate
    hold_id: str
    reference: str

    def settle(self, events: Sequence[Event]) -> None:
        """What the events say counts from now on."""
        try:
            self.gate.ended(self.hold_id, events)
        finally:
            UNSETTLED.end((self.reference,))

    def keep(self, job: str) -> None:
        """Count on, until the end of the job."""
        self.gate.keep(self.hold_id, job)
