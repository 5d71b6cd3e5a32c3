"""Events in a list, for tests and first steps."""

from __future__ import annotations

from collections.abc import Sequence

from tokenmeter.delivery.protocol import Receipt
from tokenmeter.event import Event


class MemoryBackend:
    """
    Keep events in `events`, the first of each event_id, in the order they arrived.

    A forked child has its own copy.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._ids: set[str] = set()

    def send(self, events: Sequence[Event]) -> Receipt:
        """Keep the events that are new."""
        for event in events:
            if event.event_id not in self._ids:
                self._ids.add(event.event_id)
                self.events.append(event)
        return Receipt(accepted=len(events))

    def close(self) -> None:
        """Keep the events: they can still be read after the meter is shut down."""
