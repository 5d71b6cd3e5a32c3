"""
Jobs: what was known when a call was submitted, kept until its end is seen.

The submit names customer, feature and dimensions; the usage comes with a poll, perhaps in
another process. Only the shipper's threads come here.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tokenmeter.attribution import UNATTRIBUTED
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.errors import ConfigurationError
from tokenmeter.usage import METRICS

JOB_EVENT = "job_opened"  # the journal's name for a submit; never sent to a backend
NAME = "name"  # key of a submit's record: how its event will be called
RENAMED = "renamed"  # key of a submit's record: the name is the user's own
GUESSED = "guessed"  # key of an end's record: what it does not say itself
FETCHED = "fetched"  # key of an end's record: seen by what the job made, and by nothing else
NOT_SUBMITTED = "job_not_submitted"  # flag of an end whose submit nobody has seen here
BUSY_TIMEOUT_S = 10.0
SETTLED_KEPT_S = 30 * 86_400  # so long a later sight of a job that ended finds its submit
PRUNE_EVERY = 1_000  # ends; and once when a store is opened

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    provider TEXT NOT NULL,
    job_id TEXT NOT NULL,
    submitted TEXT,
    settled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (provider, job_id)
) WITHOUT ROWID
"""
# `settled` is the epoch second of the end; 0 while the job goes on.
_OPEN = "INSERT INTO job (provider, job_id, submitted) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_SETTLE = (
    "INSERT INTO job (provider, job_id, settled) VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET settled = excluded.settled WHERE settled = 0"
)
_PRUNE = "DELETE FROM job WHERE settled > 0 AND settled < ?"
_FIND = "SELECT submitted FROM job WHERE provider = ? AND job_id = ?"
_IS_PENDING = "SELECT 1 FROM job WHERE provider = ? AND job_id = ? AND settled = 0"
_PENDING = (
    "SELECT provider, job_id, submitted FROM job WHERE settled = 0 ORDER BY provider, job_id"
)

# What the submit knows better than the poll; other properties fill gaps only.
_OF_THE_OWNER = ("feature", "environment")  # and the tags
_OF_THE_SUBMIT = (*_OF_THE_OWNER, "run_id", "call_id", "attempt", "is_retry", "retry_of")


class JobStore:
    """
    Remember submitted jobs by provider and job id; `path` None keeps them in memory.

    Raises TransientError while another process has the file locked.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._closed = self._forked = False
        self._inherited: list[sqlite3.Connection] = []  # a parent's; closing them would unlock it
        self._ends = 0
        self._db = _connected(path)
        known = weakref.WeakMethod(self._in_child)

        def in_child() -> None:
            forked = known()  # weak: this must not keep the store alive
            if forked is not None:
                forked()

        os.register_at_fork(after_in_child=in_child)

    def __del__(self) -> None:
        """Close what the end of the process finds open: Python 3.13 would complain of it."""
        db: sqlite3.Connection | None = getattr(self, "_db", None)  # none if it did not open
        if db is not None and not self._forked:  # else it is the parent's
            db.close()

    def _in_child(self) -> None:
        """A lock may have been held, and a connection must not be used, across a fork."""
        self._lock = threading.Lock()
        self._forked = True

    def opened(self, provider: str, job_id: str, submitted: Mapping[str, Any]) -> None:
        """Remember a submit; one that is seen again, or after its end, changes nothing."""
        self._run(_OPEN, (provider, job_id, json.dumps(submitted)))

    def settled(self, provider: str, job_id: str, ended: Mapping[str, Any]) -> dict[str, Any]:
        """Return the event of a job's end with what its submit knew; safe to repeat."""
        submitted = self.found(provider, job_id)
        now = int(time.time())
        self._run(_SETTLE, (provider, job_id, now))
        if self._ends % PRUNE_EVERY == 0:
            self._run(_PRUNE, (now - SETTLED_KEPT_S,))
        self._ends += 1
        return joined(submitted, ended)

    def found(self, provider: str, job_id: str) -> dict[str, Any] | None:
        """Return what the submit of a job knew; None if it was not seen here."""
        rows = self._run(_FIND, (provider, job_id))
        if not rows or rows[0][0] is None:
            return None
        submitted: dict[str, Any] = json.loads(rows[0][0])
        return submitted

    def is_pending(self, provider: str, job_id: str) -> bool:
        """Say whether the submit of a job was seen here, and its end was not."""
        return bool(self._run(_IS_PENDING, (provider, job_id)))

    def pending(self) -> list[dict[str, Any]]:
        """
        List the jobs whose end has not been seen: provider, job_id, submitted.

        Raises ConfigurationError if the file is damaged.
        """
        if self._closed:
            return []
        try:
            return [
                {"provider": provider, "job_id": job_id, "submitted": json.loads(submitted)}
                for provider, job_id, submitted in self._run(_PENDING)
            ]
        except (sqlite3.Error, ValueError) as error:
            raise _unusable(str(self._path), error) from error

    def close(self) -> None:
        """Close the file; nothing is known of jobs afterwards."""
        with self._lock:
            self._closed = True
            self._db.close()

    def _run(self, statement: str, values: tuple[str | int, ...] = ()) -> list[Any]:
        with self._lock:
            if self._closed:
                raise TransientError("the job store is closed; the next process goes on")
            try:
                if self._forked:
                    self._inherited.append(self._db)
                    self._db, self._forked = _connected(self._path), False
                return self._db.execute(statement, values).fetchall()
            except (sqlite3.OperationalError, ConfigurationError) as error:
                raise TransientError(f"the job store cannot be used now: {error}") from error


def _connected(path: Path | None) -> sqlite3.Connection:
    name = ":memory:" if path is None else str(path)
    try:
        db = sqlite3.connect(name, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    except sqlite3.Error as error:
        raise _unusable(name, error) from None
    db.isolation_level = None  # every statement is its own transaction
    try:
        if path is not None:
            db.execute("PRAGMA journal_mode=WAL")
        db.execute(_SCHEMA)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(name, error) from None
    return db


def _unusable(name: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the job store {name!r} cannot be used ({error}); move it away, or choose another "
        "state directory with state_dir= or TOKENMETER_HOME"
    )


def joined(submitted: Mapping[str, Any] | None, ended: Mapping[str, Any]) -> dict[str, Any]:
    """
    Lay the end over the submit: who pays comes from the submit, usage from the end.

    An end without a submit is an event by itself, and flagged.
    """
    if submitted is None:
        flags = {*ended["properties"].get("flags", "").split(","), NOT_SUBMITTED} - {""}
        return {**ended, "properties": {**ended["properties"], "flags": ",".join(sorted(flags))}}
    before: dict[str, Any] = submitted["properties"]
    owned = submitted["external_customer_id"] != UNATTRIBUTED
    after = _without_the_poll(ended["properties"], owned=owned)
    guessed = frozenset(ended.get(GUESSED, ()))
    after = {n: v for n, v in after.items() if n not in guessed or n not in before}
    facts = {name: value for name, value in before.items() if name not in _OF_THE_EXCHANGE}
    asked = {name: facts.pop(name) for name in METRICS if name in facts}
    properties = {**facts, **after}
    if after.get("outcome") != "failed" and "request_count" in after:  # no part, no second half
        _drop_standing(properties, before)
        _add_asked(properties, asked)
    properties |= {n: v for n, v in before.items() if n in _OF_THE_SUBMIT or n.startswith(TAG)}
    customer = (submitted if owned else ended)["external_customer_id"]
    name = _name(submitted, ended)
    return {
        **ended,
        "event_name": name,
        "external_customer_id": customer,
        "properties": properties,
    }


def _name(submitted: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    """Choose how the event is called: as the submit knew, unless the end says what was made."""
    asked, told = submitted.get(NAME), str(ended["event_name"])
    whole = "request_count" in ended["properties"] and told != _IN_DIRECTIONS
    known = NAME not in ended.get(GUESSED, ()) and not submitted.get(RENAMED)
    return told if asked is None or known or not whole else str(asked)


def _without_the_poll(properties: Mapping[str, Any], *, owned: bool) -> dict[str, Any]:
    """Leave out whose poll it was, if the submit has an owner, and which attempt of a poll."""
    return {
        name: value
        for name, value in properties.items()
        if name not in _OF_THE_ATTEMPT
        and not (owned and (name in _OF_THE_OWNER or name.startswith(TAG)))
    }


TAG = "tag_"
_IN_DIRECTIONS = "tokens_total"  # an event that is one of two says its direction by its name
_OF_THE_ATTEMPT = frozenset({"is_retry", "retry_of"})


# How the submit's own exchange went says nothing of the end.
_OF_THE_EXCHANGE = frozenset(
    {"outcome", "usage_source", "billable", "flags", "http_status", "streamed"}
)


def _drop_standing(properties: dict[str, Any], submitted: Mapping[str, Any]) -> None:
    """Drop what the end says of metrics that stand as they were asked for."""
    for flag in submitted.get("flags", "").split(","):
        if flag.startswith("asked:"):
            properties.pop(flag.removeprefix("asked:"), None)


def _add_asked(properties: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """Add what only the request knew; it is per output: two videos of 8 s are 16 s."""
    outputs = Decimal(properties.get("output_count", 1))
    added = {m: Decimal(n) * outputs for m, n in asked.items() if m not in properties}
    for metric, number in added.items():
        whole = number == number.to_integral_value()
        properties[metric] = int(number) if whole else str(number)
    known = {f"missing:{metric}" for metric in added}
    flags = [flag for flag in properties.pop("flags", "").split(",") if flag and flag not in known]
    if flags:
        properties["flags"] = ",".join(flags)
    if added and properties.get("usage_source") == "missing":
        properties["usage_source"] = "estimated"
