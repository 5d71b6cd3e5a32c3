"""Costs that an answer has told already: the event is not priced again on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenmeter.event import Event

if TYPE_CHECKING:
    from tokenmeter.pricing.pricebook import PriceBook

TOLD_MAX = 4096  # events that wait to be shipped; beyond it, they are priced again


class ToldCosts:
    """Events with their costs, from when an answer tells them until they are shipped."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        # Events, and the same priced, by the address of the first: no other's while it is kept.
        self._kept: tuple[dict[int, Event], dict[int, Event]] = ({}, {})

    def cost(self, event: Event, prices: PriceBook) -> str | None:
        """Return what the provider bills, in USD, as it is written; None is unpriced."""
        events, known = self._kept
        if len(events) >= TOLD_MAX:
            self._forget()  # nobody takes them: the backend is down
        priced = prices.priced(event)
        events[id(event)] = event
        known[id(event)] = priced
        cost = priced.properties.get("cost_usd")
        return None if cost is None else str(cost)

    def taken(self, event: Event) -> Event | None:
        """Return this very event with its cost, once; None if it was not told."""
        events, known = self._kept
        priced = known.pop(id(event), None)
        if priced is not None:
            events.pop(id(event), None)
        return priced
