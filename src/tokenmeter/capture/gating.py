"""May this call be made? The seam at the taps; `tokenmeter.enforcement` stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.observation import FAILED_FROM
from tokenmeter.event import Event
from tokenmeter.providers.base import Call, Json


class Ticket(Protocol):
    """An admitted call: what was reserved for it is put right when it is over."""

    def settle(self, events: Sequence[Event]) -> None:
        """Say what became of it: the events of its attempts; none if nothing was billed."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A ticket that wants to know that its call goes on."""

    def keep(self, job: str) -> None:
        """A job was submitted, whose end may be seen by another process, under this name."""
        ...


class Gate(Protocol):
    """Decides about the calls of a scope; many threads may ask at once."""

    def admit(self, call: Call, body: Json, attempt: Attempt) -> Ticket:
        """Reserve what the call may take, or raise Refused; may wait for a database."""
        ...


def settle(
    ticket: Ticket, events: Sequence[Event], status: int | None, job: str | None = None
) -> None:
    """Put right what was reserved; a job that was just submitted keeps it for now."""
    if job is not None:
        keep(ticket, job)
    elif events or status is None or status >= FAILED_FROM:
        ticket.settle(events)


def keep(ticket: Ticket, job: str) -> None:
    """Tell a ticket that its call goes on as this job, if it wants to know."""
    if isinstance(ticket, Keeping):
        ticket.keep(job)
