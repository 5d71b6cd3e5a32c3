"""What every ingest runs, as cheaply as each driver takes it: unprocessed by SQLAlchemy."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROWS_PER_STATEMENT = 250  # to SQLite: what it costs to run a statement is shared by so many rows
STATEMENTS_MAX = 200  # remembered
# Early releases of Python 3.12 take `?1` for a name, and warn of it at each value.
NUMBERS_WARN = (3, 12) <= sys.version_info < (3, 12, 4)


class Insertion(NamedTuple):
    """Which columns of a table take which values of each row; table and columns are ours."""

    table: str
    columns: tuple[str, ...]
    takes: tuple[int, ...]  # for each column the place of its value in the row
    ending: str = ""
    # Columns that are 0: SQLite would read the default of each from text, for every row.
    zeros: tuple[str, ...] = ()


def run(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
    """Run a statement, whose values are written `?`; return what can be iterated over."""
    if connection.dialect.name != "sqlite":
        return connection.exec_driver_sql(statement.replace("?", "%s"), tuple(values))
    driver: Any = connection.connection.driver_connection
    return driver.execute(statement, values)


def insert_rows(connection: Connection, into: Insertion, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows; each holds as many values as the columns take."""
    if connection.dialect.name != "sqlite":
        found = list(map(itemgetter(*into.takes), rows))
        if found:
            connection.exec_driver_sql(_statement(into, 0), found)
        return
    driver: Any = connection.connection.driver_connection
    if NUMBERS_WARN:
        rows, into = _in_order(rows, into)
    left, width = iter(rows), max(into.takes) + 1
    while values := tuple(chain.from_iterable(islice(left, ROWS_PER_STATEMENT))):
        if len(values) == ROWS_PER_STATEMENT * width:
            driver.execute(_statement(into, ROWS_PER_STATEMENT), values)
        else:
            driver.executemany(_statement(into, 1), zip(*[iter(values)] * width, strict=True))


def _in_order(
    rows: Iterable[tuple[Any, ...]], into: Insertion
) -> tuple[Iterable[tuple[Any, ...]], Insertion]:
    """Give each row just the values that the columns take, in their order."""
    ordered = into._replace(takes=tuple(range(len(into.takes))))
    return (rows if ordered == into else map(itemgetter(*into.takes), rows)), ordered


@lru_cache(maxsize=STATEMENTS_MAX)
def _statement(into: Insertion, rows: int) -> str:
    """Write the statement for some rows of SQLite's, or (0) for one of psycopg's."""
    zeros = ["0"] * len(into.zeros)
    if rows:
        width = max(into.takes) + 1
        in_order = into.takes == tuple(range(width))
        told = [
            ["?" if in_order else f"?{row * width + at + 1}" for at in into.takes]
            for row in range(rows)
        ]
    else:
        told = [["%s"] * len(into.takes)]
    values = ", ".join(f"({', '.join([*signs, *zeros])})" for signs in told)
    names = ", ".join((*into.columns, *into.zeros))
    return f"INSERT INTO {into.table} ({names}) VALUES {values} {into.ending}"  # noqa: S608
