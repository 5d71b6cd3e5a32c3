"""May this call be made? What is asked before it, and told after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tokenmeter.capture.gating import Ticket as Ticket
from tokenmeter.capture.gating import keep
from tokenmeter.capture.refusal import Refused as Refused
from tokenmeter.event import Event
from tokenmeter.pricing.quote import Quote

OF_RUN = "#"  # in a reference: what follows tells it from others of the same run
log = logging.getLogger("tokenmeter")


@dataclass(frozen=True, slots=True)
class Ask:
    """
    One call before it is made.

    `quote` is None if no estimate could be made, and `reference` what its hold is known by.
    `events` are those that the call is expected to become, `most` those that it may become.
    """

    customer: str | None
    feature: str | None = None
    plan: str | None = None
    model: str | None = None
    quote: Quote | None = None
    reference: str = ""
    events: tuple[Event, ...] = ()
    most: tuple[Event, ...] = ()

    @property
    def operation(self) -> str | None:
        """What is asked of the provider, as "chat.completions"; None if that is not known."""
        said = self.events[0].properties.get("operation") if self.events else None
        return said if isinstance(said, str) else None


def references(event: Event, job: str = "") -> Iterator[str]:
    """Yield by what a hold may be known: its job, the id of the event's call, or its run's."""
    if job:
        yield job
    for name in ("call_id", "run_id"):
        said = event.properties.get(name)
        if isinstance(said, str):
            yield said


COUNTS = frozenset({"request_count", "output_count"})  # say nothing of how much is used


def is_measured(event: Event) -> bool:
    """Whether an event says how much of anything is used."""
    return not COUNTS.issuperset(event.usage)


class Gate(Protocol):
    """Decides about calls. Many threads may ask at once."""

    def admit(self, ask: Ask) -> Ticket:
        """Reserve what the call may take, or raise Refused."""
        ...


@dataclass(frozen=True, slots=True)
class FreeTicket:
    """Nothing was reserved."""

    def settle(self, events: Sequence[Event]) -> None:
        """Nothing is put right."""


FREE = FreeTicket()


@dataclass(frozen=True, slots=True)
class Together:
    """Several gates: a call has to pass all of them, in order."""

    gates: tuple[Gate, ...]

    def admit(self, ask: Ask) -> Ticket:
        """Ask each gate; if one refuses, what the others reserved is given back."""
        passed: list[Ticket] = []
        try:
            passed.extend(gate.admit(ask) for gate in self.gates)
        except BaseException:
            _give_back(passed)
            raise
        return _Tickets(passed)


def _give_back(passed: Sequence[Ticket]) -> None:
    """Let the call be refused with what was said of it, whatever else is away by now."""
    for ticket in passed:
        try:
            ticket.settle(())
        except Exception as error:  # noqa: BLE001 - a border: the refusal stands
            log.warning("tokenmeter: what was reserved for a refused call stays: %r", error)


@dataclass(frozen=True, slots=True)
class _Tickets:
    tickets: list[Ticket]  # those that are not settled

    def settle(self, events: Sequence[Event]) -> None:
        """Settle each once, however often it takes; one that cannot be now holds up no other."""
        failed: list[Exception] = []
        for ticket in tuple(self.tickets):
            try:
                ticket.settle(events)
            except Exception as error:  # noqa: BLE001 - raised below, when the others are settled
                failed.append(error)
            else:
                self.tickets.remove(ticket)
        if failed:
            raise failed[0]

    def keep(self, job: str) -> None:
        for ticket in self.tickets:
            keep(ticket, job)
