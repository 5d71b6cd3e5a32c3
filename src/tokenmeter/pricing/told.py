"""Costs that an answer has told already: the event is not priced again on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenmeter.event import Event

if TYPE_CHECKING:
    from tokenmeter.pricing.pricebook import PriceBook

TOLD_MAX = 4096  # events that wait to be shipped; beyond it, they are priced again


class ToldCosts:
    """Events with their costs, from when an answer tells them until they are shipped."""

    __slots__ = ("_priced",)

    def __init__(self) -> None:
        self._priced: dict[str, tuple[Event, Event]] = {}

    def cost(self, event: Event, prices: PriceBook) -> str | None:
        """Return what the provider bills, in USD, as it is written; None is unpriced."""
        priced = prices.priced(event)
        if len(self._priced) >= TOLD_MAX:
            self._priced.clear()  # nobody takes them: the backend is down
        self._priced[event.event_id] = event, priced
        cost = priced.properties.get("cost_usd")
        return None if cost is None else str(cost)

    def taken(self, event: Event) -> Event | None:
        """Return this very event with its cost, once; None if it was not told."""
        known = self._priced.pop(event.event_id, None)
        return known[1] if known is not None and known[0] is event else None
