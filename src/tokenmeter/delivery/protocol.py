"""What a backend is: the seam between the shipper and wherever events go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tokenmeter.errors import TokenmeterError
from tokenmeter.event import Event


class TransientError(TokenmeterError):
    """
    The backend cannot take events at the moment; the shipper tries again later.

    `taken`: those of the batch that it has taken before; they do not come again.
    """

    taken: Sequence[Event] = ()

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedError(TokenmeterError):
    """
    The backend refuses the batch for what is in it; it is split to find the bad event.

    `taken`: as above.
    """

    taken: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    An event the backend will never take, and why.

    `held`: it is good, but wants something first; it is kept apart from the dead letters.
    """

    event_id: str
    reason: str
    held: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What became of a batch: every event that `rejected` does not name has been taken.

    `accepted` is how many were taken, copies the backend already had included.
    """

    accepted: int
    rejected: tuple[Rejection, ...] = ()


@runtime_checkable
class Backend(Protocol):
    """
    Where events go. Plain synchronous code; one thread calls it, never the user's.

    The same event may arrive again (at-least-once delivery): keep the first of each event_id.
    A backend that must not be forked while it is in use (SQLite) may have a method
    ``before_fork()``: it is called between two sends and closes what a child must not inherit.
    One that takes larger batches than others says so in ``batch_events_max``; what it knows of
    itself it may tell in ``health()``, and find out in ``check()``: dicts of plain values.
    """

    def send(self, events: Sequence[Event]) -> Receipt:
        """
        Take a batch and say what became of it.

        Raise TransientError (or any OSError) to get the batch again later, RefusedError if an
        event in it is bad. Any other exception makes the shipper split the batch, too, but an
        event that is alone then is a dead letter only if the backend takes others.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files; nothing is sent afterwards."""
        ...


def optional(backend: Backend, name: str) -> object:
    """
    Return what a backend may have beside the protocol; None if it has not.

    Also if asking raises: it is foreign code, and does without what is optional.
    """
    try:
        return getattr(backend, name, None)
    except Exception:  # noqa: BLE001  a border, as said above
        return None
