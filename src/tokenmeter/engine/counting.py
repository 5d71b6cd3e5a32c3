"""Counting events: as they come, and afterwards for meters that are new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenmeter.engine.gathering import Gathered
from tokenmeter.engine.rollups import Plan, current_plan, only
from tokenmeter.engine.store import rollups as stored
from tokenmeter.engine.store.events import Numbered, numbered_between
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import Labels

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

BACKFILL_EVENTS_MAX = 1_000  # counted afterwards, per ingest and per transaction


def count_new(
    store: Store, connection: Connection, plan: Plan, new: Numbered
) -> dict[Labels, int]:
    """Count new events in the transaction that stores them; return what to remember of it."""
    return Gathered(plan, new).keep(store, connection)


def backfill(store: Store, events_max: int = BACKFILL_EVENTS_MAX) -> int:
    """
    Count some of the events that came before the meters that count them; return how many.

    0 when there are none left. Until then such meters are answered from the events themselves.
    """
    with store.ingesting() as connection:
        plan = current_plan(store, connection)
        behind = [
            slot.counted
            for family in plan.families.values()
            for slot in family.slots
            if not slot.counted.is_complete
        ]
        if not behind:
            return 0
        done = min(slot.done_until for slot in behind)
        chosen = [slot for slot in behind if slot.done_until == done]
        until = min([done + events_max, *(s.live_after for s in chosen)])
        until = min([until, *(s.done_until for s in behind if s.done_until > done)])
        found = numbered_between(connection, done, until)
        Gathered(only(plan, {slot.id for slot in chosen}), found).keep(store, connection)
        stored.reach(connection, [slot.id for slot in chosen], until)
    return until - done
