"""Take events in: each once, whatever is sent again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tokenmeter.delivery.protocol import Receipt, Rejection
from tokenmeter.engine.counting import backfill, count_new
from tokenmeter.engine.rollups import Plan, current_plan
from tokenmeter.engine.store.columns import Rows
from tokenmeter.engine.store.events import (
    Conflict,
    Numbered,
    insert_conflicts,
    insert_new,
    stored_copies,
)
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import Row, metrics
from tokenmeter.engine.store.shapes import to_rows
from tokenmeter.event import Event
from tokenmeter.usage import Number

_logger = logging.getLogger("tokenmeter.engine")

DIFFERENCE_BYTES_MAX = 1_000  # it stands in an index of PostgreSQL's, which takes little more


def ingest(store: Store, events: Iterable[Event], *, environment: str = "") -> Receipt:
    """
    Store a batch in one transaction; on return it is on disk.

    All of it belongs to one environment, whatever an event's property of that name says. There
    an event id counts once: the first event wins, and a copy is accepted and ignored. A copy
    that differs in event_name, customer or a metric is a conflict: accepted and ignored, too,
    kept in the table `event_conflicts` with what differs, and logged. An event that cannot be
    stored is rejected with the reason; the others are stored.
    """
    rows, refused = to_rows(list(events), environment)
    if rows:
        _keep(store, environment, rows)
        if isinstance(store.plan, Plan) and store.plan.pending:
            backfill(store)
    return Receipt(
        len(rows), tuple([Rejection(str(event.event_id), str(said)) for event, said in refused])
    )


def _keep(store: Store, environment: str, rows: Rows) -> None:
    first = rows.unique()
    new = 0
    found: list[Conflict] = []
    with store.ingesting() as connection:
        named = store.names.numbers(connection, {environment, *first.customers})
        labelled = store.labels.numbers(connection, set(first.labels))
        numbered = Numbered(
            first, [labelled[one] for one in first.labels], [named[one] for one in first.customers]
        )
        plan = current_plan(store, connection)  # before the events that it counts
        recent = store.tails.current(connection)
        stored = insert_new(connection, recent, named[environment], numbered)
        if len(stored.rows) < len(rows):
            copies = _copies(rows, stored.rows.event_ids)
            held = stored_copies(connection, environment, copies.event_ids, recent)
            found = _conflicts(environment, copies, held)
            new = insert_conflicts(connection, found)
        combinations = count_new(store, connection, plan, stored)
    store.tails.keep(recent)
    store.names.keep(named)
    store.labels.keep(labelled)
    store.combinations.keep(combinations)
    store.plan = plan
    if new:
        _logger.warning(
            "tokenmeter: %d events came again with other contents and were ignored, "
            "%s the first; `tokenmeter events --conflicts` lists them",
            new,
            found[0].event_id,
        )


def _copies(rows: Rows, new: Iterable[str]) -> Rows:
    """Return the rows but for the first of each id that is new."""
    awaited = set(new)
    places: list[int] = []
    for at, name in enumerate(rows.event_ids):
        if name in awaited:
            awaited.remove(name)
        else:
            places.append(at)
    return rows.taken(places)


def _conflicts(
    environment: str, copies: Rows, held: Mapping[str, Mapping[str, Any]]
) -> list[Conflict]:
    sent = map(copies.row, range(len(copies)))
    compared = ((copy.event_id, difference(held[copy.event_id], copy)) for copy in sent)
    return [Conflict(environment, name, text) for name, text in compared if text]


def difference(stored: Mapping[str, Any], copy: Row) -> str:
    """Say what a copy of a stored event says differently, or "" if they agree."""
    kept: dict[str, str | Number] = {
        **metrics(json.loads(stored["rest"])),
        "event_name": stored["event_name"],
        "customer": stored["customer"],
    }
    sent: dict[str, str | Number] = {
        **metrics(copy.properties),
        "event_name": copy.event_name,
        "customer": copy.customer,
    }
    told = "; ".join(
        f"{name} is {sent.get(name, 'missing')}, stored is {kept.get(name, 'missing')}"
        for name in sorted(kept.keys() | sent.keys())
        if kept.get(name) != sent.get(name)
    )
    if len(told.encode()) <= DIFFERENCE_BYTES_MAX:
        return told
    return told.encode()[: DIFFERENCE_BYTES_MAX - 3].decode(errors="ignore") + "..."
