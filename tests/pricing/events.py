"""Events to price: only what a test is about."""

from __future__ import annotations

from datetime import UTC, datetime

from tokenmeter.event import Event, Property
from tokenmeter.pricing.pricebook import PriceBook, Priced

BOOK = PriceBook()
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def event(
    at: datetime = NOON, event_name: str = "text_generated", /, **properties: Property
) -> Event:
    return Event(event_name, "evt_1", "cust_001", at, properties)


def priced(
    at: datetime = NOON, event_name: str = "text_generated", /, **properties: Property
) -> Priced:
    return BOOK.price(event(at, event_name, **properties))
