"""Costs that an answer has told already: the event is not priced again on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenmeter.event import Event, Property

if TYPE_CHECKING:
    from tokenmeter.pricing.pricebook import PriceBook

TOLD_MAX = 4096  # events that wait to be shipped; beyond it, they are priced again


class ToldCosts:
    """Events with their costs, from when an answer tells them until they are shipped."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        # Events, and their properties with the cost, by the address of an event: no other's while
        # it is kept.
        self._kept: tuple[dict[int, Event], dict[int, dict[str, Property]]] = ({}, {})

    def cost(self, event: Event, prices: PriceBook) -> str | None:
        """Return what the provider bills, in USD, as it is written; None is unpriced."""
        events, known = self._kept
        if len(events) >= TOLD_MAX:
            self._forget()  # nobody takes them: the backend is down
        found = prices.with_cost(event)
        events[id(event)] = event
        known[id(event)] = found
        cost = found.get("cost_usd")
        return None if cost is None else str(cost)

    def taken(self, event: Event) -> Event | None:
        """Return this very event with its cost, once; None if it was not told."""
        events, known = self._kept
        found = known.pop(id(event), None)
        if found is None:
            return None
        events.pop(id(event), None)
        return event.holding(found)
