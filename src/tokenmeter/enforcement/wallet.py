"""A call is paid from its customer's wallet: held before it, settled after it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.doubt import undecided
from tokenmeter.enforcement.gate import Ask, Refused, Ticket, references
from tokenmeter.enforcement.terms import Enforcement
from tokenmeter.enforcement.unsettled import UNSETTLED
from tokenmeter.engine.store.patience import Patience
from tokenmeter.event import Event
from tokenmeter.money import Money
from tokenmeter.pricing.quote import Charger, charges_of

log = logging.getLogger("tokenmeter")


class Held(Protocol):
    """Money that is reserved."""

    @property
    def id(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...


class HoldDesk(Protocol):
    """
    What holds money: the local engine's wallets, or a server's.

    `hold` raises LookupError if the customer has no wallet, and an error whose `code` is
    "invalid_operation" if the money does not fit; anything else means: it cannot be reached.
    """

    def hold(
        self,
        customer: str,
        amount: Decimal,
        expires_s: float,
        reference: str,
        *,
        currency: str,
        events: Sequence[Event],
    ) -> Held: ...

    def settle(
        self, hold_id: str, amount: Decimal, *, reference: str, events: Sequence[Event]
    ) -> Any: ...

    def void(self, hold_id: str) -> Any: ...

    def keep(self, hold_id: str, reference: str) -> Any: ...

    def waiting(self, customer: str, reference: str) -> Sequence[Held]: ...


class WalletGate:
    """Holds the most that a call may be charged; refuses it with 402 if that does not fit."""

    def __init__(self, desk: HoldDesk, charger: Charger | None, terms: Enforcement) -> None:
        self._desk = desk
        self._charger = charger
        self._terms = terms

    def admit(self, ask: Ask) -> Ticket:
        """Hold the high estimate of the charge."""
        if ask.customer is None:
            raise Refused(Refusal(401, "Nobody pays for this call; send the key you were given."))
        amount = self._amount(ask)
        if amount is None:
            return undecided(self._terms, "There is no price for this call")
        try:
            with Patience(self._terms.lock_wait_s):
                held = self._desk.hold(
                    ask.customer,
                    amount.amount,
                    self._terms.hold_s,
                    ask.reference,
                    currency=amount.currency,
                    events=() if amount.currency == "" else ask.most,
                )
        except LookupError as error:
            raise Refused(Refusal(402, "There is no wallet to pay this call from.")) from error
        except Exception as error:
            if getattr(error, "code", "") == "invalid_operation":
                message = f"The balance does not cover this call: {error}"
                raise Refused(Refusal(402, message)) from error
            log.warning("tokenmeter: a wallet could not be reached: %r", error)
            return undecided(self._terms, "The wallet cannot be reached")
        UNSETTLED.begin(ask.reference)
        return _Holding(self, held.id, amount, ask.reference)

    def close(self, hold_id: str, held: Money, events: Sequence[Event]) -> None:
        """Settle a hold by the events of its call; void it if nobody is charged."""
        billable = [e for e in events if e.properties.get("billable") != "false"]
        if not billable:
            self._desk.void(hold_id)
            return
        found = [] if self._charger is None else charges_of(self._charger, billable)
        charged = [c for c in found if c is not None and held.currency in {"", c.currency}]
        total, known = sum((c.amount for c in charged), Decimal(0)), tuple(billable)
        if len(charged) < len(billable):
            said = billable[-1].properties.get("operation")
            total, known = max(total, self._terms.without_price(said) or total), ()
        self._desk.settle(hold_id, total, reference=billable[-1].event_id, events=known)

    def keep(self, hold_id: str, job: str) -> None:
        """Have a hold known by the job that it is for, until its end."""
        self._desk.keep(hold_id, job)

    def job_ended(self, event: Event, job: str) -> None:
        """Settle what a job has held since its submit."""
        customer = event.external_customer_id or ""
        for reference in references(event, job):
            waiting = self._desk.waiting(customer, reference)
            if waiting:
                held = waiting[0]
                self.close(held.id, Money(held.amount, held.currency), [event])
                for again in waiting[1:]:  # the provider took them for the same job
                    self._desk.void(again.id)
                break
        UNSETTLED.end(references(event))

    def _amount(self, ask: Ask) -> Money | None:
        """The most that the customer may be charged; what the user says where nobody knows."""
        if ask.quote is not None and ask.quote.charge is not None:
            return ask.quote.charge.high
        least = self._terms.without_price(ask.operation)
        return None if least is None else Money(least, "")


class _Holding:
    """One call's hold."""

    def __init__(self, gate: WalletGate, hold_id: str, held: Money, reference: str) -> None:
        self._gate = gate
        self._hold_id = hold_id
        self._held = held
        self._reference = reference

    def settle(self, events: Sequence[Event]) -> None:
        """Replace the hold by what the call was charged."""
        try:
            self._gate.close(self._hold_id, self._held, events)
        finally:
            UNSETTLED.end((self._reference,))

    def keep(self, job: str) -> None:
        """Hold on, until the end of the job."""
        self._gate.keep(self._hold_id, job)
