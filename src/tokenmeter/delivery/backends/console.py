"""Events on standard output, one readable line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tokenmeter.delivery.protocol import Receipt
from tokenmeter.event import Event, timestamp_text


class ConsoleBackend:
    """Print a line per event. A copy that arrives twice is printed twice."""

    def send(self, events: Sequence[Event]) -> Receipt:
        """Write the lines at once, so that they do not mix with other output."""
        sys.stdout.write("".join(f"{line_for(event)}\n" for event in events))
        sys.stdout.flush()
        return Receipt(accepted=len(events))

    def close(self) -> None:
        """Leave standard output open; it is not ours."""


def line_for(event: Event) -> str:
    """Return the event as one line: when, what, who, then its properties as ``name=value``."""
    properties = " ".join(f"{name}={value}" for name, value in event.properties.items())
    head = (timestamp_text(event.timestamp), event.event_name, event.external_customer_id)
    line = " ".join((*head, event.event_id, properties)).rstrip()
    return "".join(c if c.isprintable() else " " for c in line)
