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

    def keep(self) -> None:
        """A job was submitted, whose end may be seen by another process."""
        ...


class Gate(Protocol):
    """Decides about the calls of a scope; many threads may ask at once."""

    def admit(self, call: Call, body: Json, attempt: Attempt) -> Ticket:
        """Reserve what the call may take, or raise Refused; may wait for a database."""
        ...


def settle(ticket: Ticket, events: Sequence[Event], status: int | None) -> None:
    """Put right what was reserved; a job that was just submitted keeps it for now."""
    if events or status is None or status >= FAILED_FROM:
        ticket.settle(events)
    else:
        keep(ticket)


def keep(ticket: Ticket) -> None:
    """Tell a ticket that its call goes on, if it wants to know."""
    if isinstance(ticket, Keeping):
        ticket.keep()
