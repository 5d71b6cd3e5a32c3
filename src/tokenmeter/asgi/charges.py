"""What a customer is charged for an answer, where the engine is local and knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tokenmeter.capture.threads import in_thread
from tokenmeter.event import Event
from tokenmeter.money import Money

WAIT_S_MAX = 1.0  # an answer waits no longer to be told its charge


class Charges:
    """Asks the local engine of a meter, off the event loop; without one there are no charges."""

    def __init__(self, engine: Any) -> None:
        self._charge_of = getattr(engine, "charge_of", None)
        self._may_charge = getattr(engine, "may_charge", None)

    def may_tell(self, events: Sequence[Event]) -> bool:
        """Tell at once whether it is worth asking `of`: False if nothing bills one of them."""
        if self._charge_of is None or self._may_charge is None:
            return False
        return all(map(self._may_charge, filter(_is_billable, events)))

    async def of(self, events: Sequence[Event]) -> Money | None:
        """
        Return what the events add to what their customer owes; None if that is not known.

        Not known: nothing bills one of them, or the engine is slow today.
        """
        if not self.may_tell(events):
            return None
        billable = [event for event in events if _is_billable(event)]
        try:
            return await asyncio.wait_for(in_thread(lambda: self._sum(billable)), WAIT_S_MAX)
        except TimeoutError:
            return None

    def _sum(self, events: Sequence[Event]) -> Money | None:
        total: Money | None = None
        for event in events:
            charge: Money | None = self._charge_of(event)  # type: ignore[misc]  # asked before
            if charge is None or (total is not None and total.currency != charge.currency):
                return None
            amount = charge.amount if total is None else total.amount + charge.amount
            total = Money(Decimal(amount), charge.currency)
        return total


def _is_billable(event: Event) -> bool:
    return event.properties.get("billable") != "false"
