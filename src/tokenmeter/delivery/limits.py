"""How much a journal may hold."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENT_BYTES_MAX = 8 * 1024 * 1024  # a segment is closed once it is this long
JOURNAL_BYTES_MAX = 1024 * 1024 * 1024  # of all processes that share the state directory
WAITING_BYTES_MAX = 32 * 1024 * 1024  # records kept in memory while the disk refuses them


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much a journal may hold.

    The disk limit is looked at when a segment is opened, so each process may exceed it by one
    segment. When it is reached, records wait in memory; what does not fit there is dropped,
    counted and alarmed.
    """

    segment_bytes_max: int = SEGMENT_BYTES_MAX
    journal_bytes_max: int = JOURNAL_BYTES_MAX
    waiting_bytes_max: int = WAITING_BYTES_MAX
