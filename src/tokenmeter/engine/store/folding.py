"""
Cells of days, made of those of hours when the day is over.

A batch of a busy hour would change as many cells of its day as it has events, all over the day.
So a family's days from `days_until` on stand in their hours alone; when an event of a later day
comes, the cells of the days before it are made at once, in their order. What comes late, for a
day that is made, is added to both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from tokenmeter.engine.store.bulk import run
from tokenmeter.engine.store.cells import (
    CELLS_PER_QUERY,
    NUMBERS,
    ROWS_PER_FETCH,
    Place,
    add_states,
    columns_of,
)
from tokenmeter.engine.store.merging import merged_states
from tokenmeter.engine.store.rollup_schema import rollup_days, rollup_hours

if TYPE_CHECKING:
    from sqlalchemy import Connection

HOURS_PER_DAY = 24


def days_made(connection: Connection, newest: Mapping[int, int]) -> dict[int, int]:
    """
    Make the days before the newest of each family; return up to which day each has its days.

    The caller ingests, and adds what is new afterwards.
    """
    found: dict[int, int] = {}
    for family, newest_day in newest.items():
        until = run(connection, _UNTIL, (family,)).fetchone()[0]
        found[family] = max(until, newest_day)
        if until < newest_day:
            for day in _days(connection, family, until, newest_day):
                _make(connection, family, day)
            run(connection, _MADE, (newest_day, family))
    return found


def _days(connection: Connection, family: int, first: int, until: int) -> Iterator[int]:
    """Yield the days that have hours; there may be years without."""
    while True:
        hours = (first * HOURS_PER_DAY, until * HOURS_PER_DAY)
        hour = run(connection, _FIRST, (family, *hours)).fetchone()[0]
        if hour is None:
            return
        yield hour // HOURS_PER_DAY
        first = hour // HOURS_PER_DAY + 1


def _make(connection: Connection, family: int, day: int) -> None:
    places = [place for (place,) in run(connection, _PLACES, (family,))]
    names = [name for place in places for name in columns_of(place)]
    listed = [*names, *(name for name in NUMBERS if name not in names)]
    values = [*(f"sum({name})" for name in names), *["0"] * (len(NUMBERS) - len(names))]
    hours = (day * HOURS_PER_DAY, (day + 1) * HOURS_PER_DAY)
    run(
        connection,
        f"INSERT INTO rollup_days (family_id, at, customer_id, combination_id, {', '.join(listed)}) "  # noqa: S608, E501
        f"SELECT {int(family)}, {int(day)}, customer_id, combination_id, {', '.join(values)} "
        "FROM rollup_hours WHERE family_id = ? AND at >= ? AND at < ? "
        "GROUP BY customer_id, combination_id",
        (family, *hours),
    )
    merged = _states(connection, family, day)
    while some := dict(islice(merged, CELLS_PER_QUERY)):
        add_states(connection, rollup_days, some)


def _states(connection: Connection, family: int, day: int) -> Iterator[tuple[Place, str]]:
    """Yield what the columns of a day's hours do not hold, merged by cell."""
    hours, whose = rollup_hours.c, (rollup_hours.c.customer_id, rollup_hours.c.combination_id)
    query = (
        select(*whose, hours.states)
        .where(
            hours.family_id == family,
            hours.at >= day * HOURS_PER_DAY,
            hours.at < (day + 1) * HOURS_PER_DAY,
            hours.states.is_not(None),
        )
        .order_by(*whose)
    )
    rows: Iterable[Any] = connection.execute(
        query, execution_options={"yield_per": ROWS_PER_FETCH}
    )
    for (customer, combination), held in groupby(rows, itemgetter(0, 1)):
        yield (family, day, customer, combination), reduce(merged_states, [row[2] for row in held])


_UNTIL = "SELECT days_until FROM rollup_families WHERE id = ?"
_MADE = "UPDATE rollup_families SET days_until = ? WHERE id = ?"
_FIRST = "SELECT min(at) FROM rollup_hours WHERE family_id = ? AND at >= ? AND at < ?"
_PLACES = (
    "SELECT place FROM rollup_meters WHERE family_id = ? AND retired = false "
    "AND place IS NOT NULL ORDER BY place"
)
