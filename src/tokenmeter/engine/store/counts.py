"""Rows of counts: how much of a limit's window is taken, exact and for all processes."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from tokenmeter.engine.store.ledger_schema import limit_counts, limit_holds


class Counts:
    """The counts of one environment, within the transaction of one connection."""

    def __init__(self, connection: Connection, environment: str) -> None:
        self._connection = connection
        self._environment = environment

    def locked(self, key: str, window_us: int) -> Decimal:
        """Return a count and keep others from changing it; a new one is 0."""
        columns = limit_counts.c
        place = (
            columns.environment == self._environment,
            columns.key == key,
            columns.window_us == window_us,
        )
        asked = select(columns.counted).where(*place).with_for_update()
        found = self._connection.execute(asked).scalar()
        if found is None:
            row = {"environment": self._environment, "key": key, "window_us": window_us}
            try:
                with self._connection.begin_nested():
                    self._connection.execute(insert(limit_counts), {**row, "counted": "0"})
            except IntegrityError:  # somebody was faster
                found = self._connection.execute(asked).scalar()
        return Decimal(found or "0")

    def write(self, key: str, window_us: int, counted: Decimal) -> None:
        """Replace a count that is locked."""
        columns = limit_counts.c
        self._connection.execute(
            update(limit_counts)
            .where(
                columns.environment == self._environment,
                columns.key == key,
                columns.window_us == window_us,
            )
            .values(counted=str(counted))
        )

    def keep(self, reference: str, parts: str, created_us: int) -> None:
        """Keep what was counted for a job, unless something is kept for it."""
        if self.kept(reference) is None:
            row = {"environment": self._environment, "reference": reference}
            self._connection.execute(
                insert(limit_holds), {**row, "parts": parts, "created_us": created_us}
            )

    def kept(self, reference: str) -> str | None:
        """Return what is kept for a job."""
        asked = select(limit_holds.c.parts).where(*self._job(reference))
        found: str | None = self._connection.execute(asked).scalar()
        return found

    def forget(self, reference: str) -> bool:
        """Forget what is kept for a job; False if somebody was faster."""
        done = self._connection.execute(delete(limit_holds).where(*self._job(reference)))
        return done.rowcount > 0

    def prune(self, before_us: int) -> None:
        """Forget the windows that began before a moment, and the jobs that did."""
        for table, began in (
            (limit_counts, limit_counts.c.window_us),
            (limit_holds, limit_holds.c.created_us),
        ):
            wanted = (table.c.environment == self._environment, began < before_us)
            self._connection.execute(delete(table).where(*wanted))

    def _job(self, reference: str) -> tuple[ColumnElement[bool], ...]:
        columns = limit_holds.c
        return columns.environment == self._environment, columns.reference == reference
