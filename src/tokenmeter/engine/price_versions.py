"""The versions of a price: which there are, and which is in force."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.prices import is_billed
from tokenmeter.engine.store.documents import Document


def versions_of(first: Document, known: Iterable[Document]) -> list[Document]:
    """List a price and what came after it; an override follows its own versions alone."""
    root = first.body.get("parent_price_id") or first.id
    found = [p for p in known if root in {p.id, p.body.get("parent_price_id")}]
    found = [p for p in found if p.body.get("entity_type") == first.body.get("entity_type")]
    if first.body.get("entity_type") == "SUBSCRIPTION":
        found = _following(first, found)
    return [p for p in found or [first] if is_billed(p)]


def _following(first: Document, others: Iterable[Document]) -> list[Document]:
    """List a subscription's own price and its versions: each begins where the last one ends."""
    found, rest = [first], [p for p in others if p.id != first.id]
    for _ in range(len(rest)):
        end = reading.moment(found[-1].body, "end_date")
        begun = [p for p in rest if end and reading.moment(p.body, "start_date") == end]
        found += [p for p in begun if p not in found][:1]
    return found


def version_at(first: Document, known: Iterable[Document], at: datetime) -> Document:
    """Find the version of a price that is in force at a moment; the first one, if none is."""
    for price in versions_of(first, known):
        start, end = (reading.moment(price.body, name) for name in ("start_date", "end_date"))
        if start is not None and start <= at and (end is None or at < end):
            return price
    return first
