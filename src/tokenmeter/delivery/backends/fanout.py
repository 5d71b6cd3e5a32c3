"""Several backends at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenmeter.delivery.protocol import Backend, Receipt, Rejection
from tokenmeter.event import Event


class FanOut:
    """
    Give every event to each of `backends`.

    Delivery runs each of them in a thread and with a cursor of its own, so that a slow one
    holds no other. `send` is for whoever holds the object without a Delivery: it goes through
    them in turn, and an exception of one reaches the caller.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.backends = tuple(backends)

    @property
    def engine(self) -> Any:
        """The local engine of the first that has one, else None."""
        return self._first("engine")

    @property
    def account(self) -> Any:
        """The account of the first that has one at a server, else None."""
        return self._first("account")

    def send(self, events: Sequence[Event]) -> Receipt:
        """Send to each in turn; an event that one of them rejects is rejected."""
        rejected: dict[str, Rejection] = {}
        for backend in self.backends:
            for rejection in backend.send(events).rejected:
                rejected.setdefault(rejection.event_id, rejection)
        taken = sum(event.event_id not in rejected for event in events)
        return Receipt(accepted=taken, rejected=tuple(rejected.values()))

    def close(self) -> None:
        """Close each of them."""
        for backend in self.backends:
            backend.close()

    def _first(self, name: str) -> Any:
        held = (getattr(backend, name, None) for backend in self.backends)
        return next((one for one in held if one is not None), None)
