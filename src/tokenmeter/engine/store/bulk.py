"""Many rows into a table, as cheaply as each driver takes them: as they are, unprocessed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROWS_PER_STATEMENT = 250  # to SQLite: what it costs to run a statement is shared by so many rows
STATEMENTS_MAX = 200  # remembered


class Insertion(NamedTuple):
    """Which columns of a table take which values of each row; table and columns are ours."""

    table: str
    columns: tuple[str, ...]
    takes: tuple[int, ...]  # for each column the place of its value in the row
    ending: str = ""
    # Columns that are 0: SQLite would read the default of each from text, for every row.
    zeros: tuple[str, ...] = ()


def insert_rows(connection: Connection, into: Insertion, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows; each holds as many values as the columns take."""
    if connection.dialect.name != "sqlite":
        pick = itemgetter(*into.takes)
        connection.exec_driver_sql(_statement(into, 0), list(map(pick, rows)))
        return
    driver: Any = connection.connection.driver_connection
    whole = len(rows) - len(rows) % ROWS_PER_STATEMENT
    for first in range(0, whole, ROWS_PER_STATEMENT):
        some = rows[first : first + ROWS_PER_STATEMENT]
        driver.execute(_statement(into, ROWS_PER_STATEMENT), tuple(chain.from_iterable(some)))
    if whole < len(rows):
        driver.executemany(_statement(into, 1), rows[whole:])


@lru_cache(maxsize=STATEMENTS_MAX)
def _statement(into: Insertion, rows: int) -> str:
    """Write the statement for some rows of SQLite's, or (0) for one of psycopg's."""
    zeros = ["0"] * len(into.zeros)
    if rows:
        width = max(into.takes) + 1
        told = [[f"?{row * width + at + 1}" for at in into.takes] for row in range(rows)]
    else:
        told = [["%s"] * len(into.takes)]
    values = ", ".join(f"({', '.join([*signs, *zeros])})" for signs in told)
    names = ", ".join((*into.columns, *into.zeros))
    return f"INSERT INTO {into.table} ({names}) VALUES {values} {into.ending}"  # noqa: S608
