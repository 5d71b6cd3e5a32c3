"""Each event id once, whoever sent it before: their keys, new ones aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.engine.made import START, url
from tests.engine.metered import define, fresh, meter_of
from tokenmeter.engine import gathering
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store import events as stored
from tokenmeter.engine.store import keys
from tokenmeter.engine.store.keys import SLICES, TAIL_KEYS_MAX
from tokenmeter.engine.store.migrate import is_current, upgrade
from tokenmeter.engine.store.schema import VERSION_TABLE, event_keys, event_tails
from tokenmeter.event import Event
from tokenmeter.rating.meter import Aggregation, AggregationType

ON_BOTH_DATABASES = True
COUNT = meter_of(Aggregation(AggregationType.COUNT))
batches = st.lists(st.lists(st.integers(0, 150), min_size=1, max_size=6), max_size=80)


def event(number: int) -> Event:
    return Event("image_generated", f"evt_{number}", "cust_1", START + timedelta(seconds=number))


def ids_of(engine: Engine, environment: str = "") -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = engine.events(limit=1000, cursor=cursor, environment=environment)
        found += [e.event_id for e in page.events]
        cursor = page.cursor
        if cursor is None:
            return sorted(found)


def rows(engine: Engine) -> tuple[int, int]:
    with engine.store.reading() as connection:
        tails = connection.execute(select(func.count()).select_from(event_tails)).scalar_one()
        sorted_in = connection.execute(select(func.count()).select_from(event_keys)).scalar_one()
    return tails, sorted_in


@settings(max_examples=20, deadline=None)
@given(batches, st.data())
def test_what_several_processes_send_again_is_stored_once(
    tmp_path_factory: pytest.TempPathFactory, sent: list[list[int]], data: st.DataObject
) -> None:
    database = url(tmp_path_factory.mktemp("keys") / "usage.db")
    engines = [Engine(database) for _ in range(3)]  # each remembers for itself
    seen: set[int] = set()
    for batch in sent:
        engine = engines[data.draw(st.integers(0, 2))]
        engine.ingest([event(number) for number in batch])
        seen |= set(batch)
    assert ids_of(engines[0]) == sorted(f"evt_{number}" for number in seen)
    for engine in engines:
        engine.close()


def test_a_tail_goes_when_all_its_keys_are_sorted_in(engine: Engine) -> None:
    for number in range(3 * SLICES):
        engine.ingest([event(number)])
    tails, sorted_in = rows(engine)
    assert tails == SLICES - 1
    assert 2 * SLICES < sorted_in <= 3 * SLICES
    engine.close()  # and what it remembers
    engine.ingest([event(number) for number in range(3 * SLICES + 1)])
    assert engine.usage()[0].events == 3 * SLICES + 1


def test_a_large_batch_makes_tails_of_their_size(engine: Engine) -> None:
    many = [event(number) for number in range(2 * TAIL_KEYS_MAX + 1)]
    engine.ingest(many)
    assert rows(engine)[0] == 3
    engine.ingest(many)
    assert engine.usage()[0].events == len(many)
    assert engine.conflicts() == []


def always_the_same(_packed: bytes) -> int:
    return 7


def one_of_three(packed: bytes) -> int:
    return (packed[-1] % 3) << 57


@pytest.mark.parametrize("key_of", [always_the_same, one_of_three])
def test_ids_of_one_key_are_told_apart(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, key_of: Callable[[bytes], int]
) -> None:
    def keys_of(packed: Sequence[bytes]) -> list[int]:
        return list(map(key_of, packed))

    monkeypatch.setattr(keys, "keys_of", keys_of)
    monkeypatch.setattr(stored, "keys_of", keys_of)
    for environment in ("", "other"):
        for first in range(0, 2 * SLICES, 2):
            batch = [event(number) for number in range(first, first + 3)]
            engine.ingest(batch, environment=environment)
    expected = sorted(f"evt_{number}" for number in range(2 * SLICES + 1))
    for environment in ("", "other"):
        assert ids_of(engine, environment) == expected
        for number in (0, SLICES, 2 * SLICES):
            named = engine.events(filters={"event_id": f"evt_{number}"}, environment=environment)
            assert named.events == (event(number),)
    assert engine.conflicts() == []


def test_an_ingest_that_was_undone_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(url(tmp_path / "usage.db")) as one, Engine(url(tmp_path / "usage.db")) as other:
        define(one, "", COUNT)
        one.ingest([event(0)])
        with monkeypatch.context() as patch:
            patch.setattr(gathering, "add_cells", _broken)
            with pytest.raises(ZeroDivisionError):
                one.ingest([event(1)])
        other.ingest([event(3), event(2)])  # takes the place in the order that was given up
        one.ingest([event(1), event(2)])
        assert ids_of(other) == ["evt_0", "evt_1", "evt_2", "evt_3"]


def _broken(*_arguments: object) -> None:
    raise ZeroDivisionError


def test_an_event_that_was_deleted_can_come_again(engine: Engine) -> None:
    environment = fresh()
    engine.ingest([event(1), event(2)], environment=environment)
    with engine.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM events")
    engine.ingest([event(3)], environment=environment)
    engine.ingest([event(1), event(3)], environment=environment)
    assert ids_of(engine, environment) == ["evt_1", "evt_3"]


@pytest.mark.parametrize("name", ["\ud800", "x\x00y", ""])
def test_an_id_that_no_event_has_finds_nothing(engine: Engine, name: str) -> None:
    engine.ingest([event(1)])
    assert engine.events(filters={"event_id": name}).events == ()


@pytest.mark.parametrize("batch", [1, 7])
def test_keys_in_the_slices_of_an_older_version_are_found_after_the_upgrade(
    engine: Engine, batch: int
) -> None:
    """Until 0008 there were 64 slices; the tables are the same."""
    count = 150 * batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "SLICES", 64)
        patch.setattr(keys, "_SLICE_SHIFT", 57)
        for first in range(0, count, batch):
            engine.ingest([event(number) for number in range(first, first + batch)])
        assert rows(engine)[0] == 63
        engine.close()
    with engine.store.writing() as connection:
        for table in ("quota_holds", "limit_holds"):  # of 0011
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("ALTER TABLE holds DROP COLUMN steps")  # of 0010
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0008'")
        upgrade(connection)
        assert is_current(connection)
    assert rows(engine) == (0, count)
    for first in range(0, count, 100):
        engine.ingest([event(number) for number in range(first, first + 100)])
    assert ids_of(engine) == sorted(f"evt_{number}" for number in range(-(-count // 100) * 100))
