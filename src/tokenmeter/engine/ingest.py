"""Take events in: each once, whatever is sent again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenmeter.delivery.protocol import Receipt, Rejection
from tokenmeter.engine.store.events import (
    Conflict,
    insert_conflicts,
    insert_new,
    stored_copies,
)
from tokenmeter.engine.store.rows import Refusal, Row, metrics, to_row
from tokenmeter.engine.store.sqlite import SqliteStore
from tokenmeter.event import Event
from tokenmeter.usage import Number

_logger = logging.getLogger("tokenmeter.engine")


def ingest(
    store: SqliteStore, events: Iterable[Event], *, environment: str | None = None
) -> Receipt:
    """
    Store a batch in one transaction; on return it is on disk.

    An event id counts once within its environment: the first event wins, and a copy is accepted
    and ignored. A copy that differs in event_name, customer or a metric is a conflict: accepted
    and ignored too, kept in the table `event_conflicts` with what differs, and logged. An event
    that cannot be stored is rejected with the reason; the others are stored.
    """
    rows: list[Row] = []
    rejected: list[Rejection] = []
    for event in events:
        try:
            row = to_row(event)
        except Refusal as refusal:
            rejected.append(Rejection(str(event.event_id), str(refusal)))
            continue
        if environment is not None:
            row["environment"] = environment
        rows.append(row)
    if rows:
        _keep(store, rows)
    return Receipt(len(rows), tuple(rejected))


def _keep(store: SqliteStore, rows: Sequence[Row]) -> None:
    by_environment: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_environment.setdefault(row["environment"], {}).setdefault(row["event_id"], row)
    first = [row for group in by_environment.values() for row in group.values()]
    with store.writing() as connection:
        if insert_new(connection, first) == len(rows):
            return  # no copies
        found: list[Conflict] = []
        for environment, group in by_environment.items():
            stored = stored_copies(connection, environment, list(group))
            found += _conflicts(stored, [r for r in rows if r["environment"] == environment])
        new = insert_conflicts(connection, found)
    if new:
        _logger.warning(
            "tokenmeter: %d events came again with other contents and were ignored, "
            "%s the first; `tokenmeter events --conflicts` lists them",
            new,
            found[0].event_id,
        )


def _conflicts(stored: Mapping[str, Mapping[str, Any]], copies: Iterable[Row]) -> list[Conflict]:
    compared = ((copy, difference(stored[copy["event_id"]], copy)) for copy in copies)
    return [Conflict(c["environment"], c["event_id"], text) for c, text in compared if text]


def difference(stored: Mapping[str, Any], copy: Mapping[str, Any]) -> str:
    """Say what a copy of a stored event says differently, or "" if they agree."""
    kept: dict[str, str | Number] = {**metrics(stored), **_names(stored)}
    sent: dict[str, str | Number] = {**metrics(copy), **_names(copy)}
    return "; ".join(
        f"{name} is {sent.get(name, 'missing')}, stored is {kept.get(name, 'missing')}"
        for name in sorted(kept.keys() | sent.keys())
        if kept.get(name) != sent.get(name)
    )


def _names(row: Mapping[str, Any]) -> dict[str, str | Number]:
    return {"event_name": row["event_name"], "customer": row["customer"]}
