"""Calls that were under way when their process died: each is reported once, as unknown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tokenmeter.delivery.opencalls import OPEN, left_open
from tokenmeter.delivery.writerlog import WriterLog
from tokenmeter.lines import record_of, to_line, whole_records

Attempt = tuple[str, int]  # call_id and number


def report_open(log: WriterLog) -> int:
    """
    Write what a log's process left open to the end of that log; return how many calls.

    The log's lock is ours. Whoever dies in the middle of this leaves the rest to the next one:
    what stands in the log already is not written again. OSError if the disk refuses.
    """
    left = left_open(log.directory)
    if left:
        known = set(_attempts(log))
        left = [record for record in left if _attempt(record) not in known]
    if left:
        log.add([to_line(record) for record in left])
    with contextlib.suppress(OSError):  # a second report would find its records in the log
        (log.directory / OPEN).unlink(missing_ok=True)
    return len(left)


def _attempts(log: WriterLog) -> Iterator[Attempt]:
    """Name the attempts that have a record in this log, delivered or not, as far as it is kept."""
    at, end = min(log.segments(), default=0), log.end()
    while at < end:
        chunk = log.read(at, end)
        for _, line in chunk.lines:
            record = record_of(line)
            for each in whole_records(line) if record is None else (record,):
                found = _attempt(each)
                if found is not None:
                    yield found
        if chunk.next_at <= at:
            return
        at = chunk.next_at


def _attempt(record: Any) -> Attempt | None:
    properties: Any = record.get("properties") if isinstance(record, dict) else None
    if not isinstance(properties, dict):
        return None
    call_id, number = properties.get("call_id"), properties.get("attempt")
    if isinstance(call_id, str) and isinstance(number, int):
        return call_id, number
    return None
