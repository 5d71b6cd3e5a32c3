"""What SQLite's errors mean for whoever reads them: one sentence that says what to do."""

from __future__ import annotations

import sqlite3

from tokenmeter.errors import StoreBusyError, StoreError

_TO_DO = {
    sqlite3.SQLITE_NOTADB: "name another file",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup, or name another file",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "see whether its disk is full or broken",
    sqlite3.SQLITE_CANTOPEN: "see whether the file and its folder may be written",
    sqlite3.SQLITE_READONLY: "see whether the file and its folder may be written",
    sqlite3.SQLITE_PERM: "see whether the file and its folder may be written",
}
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def store_error(name: str, error: BaseException | None) -> StoreError:
    """Say what is wrong with the database `name`, and what to do if that is known."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return StoreBusyError(f"others kept {name} locked for too long; try again")
    to_do = _TO_DO.get(code)
    return StoreError(f"{name} could not be used: {error}" + (f"; {to_do}" if to_do else ""))
