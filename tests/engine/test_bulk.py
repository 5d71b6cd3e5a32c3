"""Rows that are inserted past SQLAlchemy, whatever the driver makes of numbered placeholders."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from tokenmeter.engine.store import bulk
from tokenmeter.engine.store.bulk import ROWS_PER_STATEMENT, Insertion, insert_rows, run

SWAPPED = Insertion("t", ("a", "b", "c"), (2, 0, 0), zeros=("d",))
IN_ORDER = Insertion("t", ("a", "b", "c"), (0, 1, 2), zeros=("d",))


@pytest.mark.parametrize("warns", [False, True])
@pytest.mark.parametrize("into", [SWAPPED, IN_ORDER])
@pytest.mark.parametrize("count", [0, 1, ROWS_PER_STATEMENT, 2 * ROWS_PER_STATEMENT + 1])
def test_columns_take_their_values_also_where_numbered_placeholders_are_refused(
    monkeypatch: pytest.MonkeyPatch, count: int, into: Insertion, warns: bool
) -> None:
    monkeypatch.setattr(bulk, "NUMBERS_WARN", warns or bulk.NUMBERS_WARN)
    rows = [(n, f"text {n}", -n) for n in range(count)]
    with create_engine("sqlite://").connect() as connection:
        run(connection, "CREATE TABLE t (a, b, c, d)")
        insert_rows(connection, into, iter(rows))
        expected = [(*(row[at] for at in into.takes), 0) for row in rows]
        assert list(run(connection, "SELECT a, b, c, d FROM t ORDER BY rowid")) == expected


@pytest.mark.parametrize("rows", [1, ROWS_PER_STATEMENT])
def test_only_values_out_of_order_are_numbered(rows: int) -> None:
    """Python 3.12.1 warns of each number: where warnings are errors nothing was stored."""
    assert "?1" in bulk._statement(SWAPPED, rows)
    assert "?1" not in bulk._statement(IN_ORDER, rows)
    _, ordered = bulk._in_order([], SWAPPED)
    assert "?1" not in bulk._statement(ordered, rows)
