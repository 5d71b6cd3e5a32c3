"""What every store must do. Add a name to KINDS to try another."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, func, inspect, select, text
from sqlalchemy.engine import make_url

from tests.engine.made import START, longest_ingest, numbered, url
from tests.engine.metered import counts_apart, define
from tests.fresh import FRESH
from tests.postgres import new_database
from tokenmeter.delivery.backends import open_backend
from tokenmeter.delivery.protocol import Receipt
from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import MeterQuery, measure
from tokenmeter.engine.rollups import definition_of
from tokenmeter.engine.store.ledger_schema import wallet_balances
from tokenmeter.engine.store.opening import open_store
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rollup_schema import metadata
from tokenmeter.engine.store.schema import HEAD, VERSION_TABLE, names
from tokenmeter.errors import StoreError
from tokenmeter.event import Event
from tokenmeter.rating.meter import Aggregation, AggregationType, Meter

WAIT_S = 120
WAIT_LONGEST_S = 20.0  # on a machine that does many other things, too
COUNT = Aggregation(AggregationType.COUNT)
KINDS = ("sqlite", "postgresql")
# What the states of cells were like before 0007, by meter.
COUNTED_BEFORE = {
    (AggregationType.SUM, "units"): [1, 2, 7],
    (AggregationType.COUNT, ""): [0, 2],
    (AggregationType.MAX, "units"): [2, 2, 5],
    (AggregationType.SUM, "seconds"): [1, 2, "1.5"],
    (AggregationType.SUM, "huge"): [1, 2, 2**70],
}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return url(tmp_path / "usage.db")
    return new_database(request.getfixturevalue("postgres_server"), migrated=False)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def upgraded(connection: Connection, revision: str) -> None:
    """Bring a database to the tables of an older version."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "tokenmeter.engine.store:migrations")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


def raw(database: str) -> Generator[Connection, None, None]:
    parsed = make_url(database)
    driver = parsed.drivername.replace("postgresql", "postgresql+psycopg")
    alchemy = create_engine(parsed.set(drivername=driver))
    with alchemy.begin() as connection:
        yield connection
    alchemy.dispose()


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(names)).scalar_one()


def migrated(database: str) -> None:
    """Make the tables step by step, as an old database got them."""
    for connection in raw(database):
        upgraded(connection, "head")


def made_at_once(database: str) -> None:
    open_store(database).close()


@pytest.mark.parametrize("make", [made_at_once, migrated])
def test_a_database_has_exactly_the_tables_of_the_schema(
    database: str, make: Callable[[str], None]
) -> None:
    make(database)
    for connection in raw(database):
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD


def test_what_is_made_at_once_is_what_the_migrations_make(tmp_path: Path) -> None:
    whole: list[list[str]] = []
    for make in (made_at_once, migrated):
        path = tmp_path / f"{make.__name__}.db"
        make(url(path))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            dump = (" ".join(line.split()) for line in connection.iterdump())
            whole.append(sorted(line.replace('"', "") for line in dump))  # of a renamed table
    assert whole[0] == whole[1]


def test_a_database_with_tables_of_others_gets_ours_beside_them(database: str) -> None:
    for connection in raw(database):
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    made_at_once(database)
    for connection in raw(database):
        assert {"theirs", "events"} <= set(inspect(connection).get_table_names())


def test_what_a_body_that_fails_wrote_is_undone(store: Store) -> None:
    def write_and_fail() -> None:
        with store.writing() as connection:
            connection.execute(names.insert(), {"name": "a"})
            raise KeyError("x")

    with pytest.raises(KeyError):
        write_and_fail()
    with store.reading() as connection:
        assert count(connection) == 0


def test_a_reader_sees_one_moment_while_others_write(store: Store) -> None:
    with store.reading() as reader:
        assert count(reader) == 0
        with store.writing() as writer:
            writer.execute(names.insert(), {"name": "a"})
        assert count(reader) == 0
    with store.reading() as reader:
        assert count(reader) == 1


def test_one_ingest_waits_for_another(store: Store) -> None:
    steps: list[str] = []
    started = threading.Event()

    def ingest() -> None:
        started.set()
        with store.ingesting():
            steps.append("second")

    with store.ingesting():
        waiting = threading.Thread(target=ingest)
        waiting.start()
        assert started.wait(5)
        waiting.join(0.2)
        steps.append("first")
    waiting.join(10)
    assert steps == ["first", "second"]


def test_an_error_names_the_database_and_no_values(store: Store) -> None:
    def insert_twice() -> None:
        with store.writing() as connection:
            for _ in range(2):
                connection.execute(names.insert(), {"name": "secret-name"})

    with pytest.raises(StoreError, match="could not be used") as caught:
        insert_twice()
    assert "secret-name" not in str(caught.value)


def test_money_is_kept_to_the_last_digit(store: Store) -> None:
    told = "-12345678901234567890123456789.0123456789012345678901234567890"
    row = {"environment": "", "wallet_id": "w", "credit_balance": told, "held": "0", "version": 1}
    with store.writing() as connection:
        connection.execute(wallet_balances.insert(), row)
        kept = connection.execute(select(wallet_balances.c.credit_balance)).scalar_one()
    assert kept == told


def test_a_store_that_was_closed_opens_again(store: Store) -> None:
    store.close()
    with store.reading() as connection:
        assert count(connection) == 0


def test_it_is_a_backend_by_its_url(database: str) -> None:
    backend = open_backend(database)
    assert backend.send(numbered(3)) == backend.send(numbered(3)) == Receipt(3)
    backend.close()
    with Engine(database) as engine:
        assert list(engine.events().events) == numbered(3)[::-1]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "PostgreSQL"])
def test_a_server_is_known_however_its_scheme_is_written(
    postgres_server: str, scheme: str
) -> None:
    database = new_database(postgres_server).replace("postgresql:", f"{scheme}:", 1)
    backend = open_backend(database)
    assert backend.send(numbered(1)) == Receipt(1)
    backend.close()


def test_eight_processes_store_and_count_every_event_once(database: str) -> None:
    """Their batches overlap, and a meter comes while they write."""
    rule = Aggregation(AggregationType.SUM, "input_tokens")
    meters = [Meter("tokens", "text_generated", rule), Meter("events", "text_generated", COUNT)]
    with Engine(database) as engine, ProcessPoolExecutor(8, mp_context=FRESH) as pool:
        define(engine, "", meters[0], "model")
        sent = [
            pool.submit(longest_ingest, database, first * 50, 300, 11 + first)
            for first in range(8)
        ]
        define(engine, "", meters[1])
        longest = max(future.result(timeout=WAIT_S) for future in sent)
        engine.backfill()
        assert list(engine.events(limit=1000).events) == numbered(650)[::-1]
        assert engine.conflicts() == []
        for meter, total in zip(meters, (6_500, 650), strict=True):
            assert counts_apart(engine, "", meter)
            query = MeterQuery(meter, ("cust_1",), START, START + timedelta(hours=1))
            with engine.store.writing() as connection:  # so that only the rollups can answer
                connection.exec_driver_sql("DELETE FROM events")
            assert measure(engine.store, query)[0].quantity == total
    assert longest < WAIT_LONGEST_S


def test_events_of_the_first_layout_are_moved_to_the_present_one(database: str) -> None:
    events = numbered(2_500)
    for connection in raw(database):
        upgraded(connection, "0001")
        rows = [
            {
                "id": at,
                "event": event.event_id,
                "customer": event.external_customer_id,
                "at": int(event.timestamp.timestamp() * 1_000_000),
                "properties": json.dumps(event.properties),
            }
            for at, event in enumerate(events, start=1)
        ]
        statement = (
            "INSERT INTO events (id, environment, event_id, event_name, customer, timestamp_us, "
            "source, billable, properties) VALUES (:id, '', :event, 'text_generated', :customer, "
            ":at, 'tokenmeter', :billable, :properties)"
        )
        connection.execute(text(statement), [{**row, "billable": True} for row in rows])
    with Engine(database) as engine:
        assert list(engine.events(limit=1000).events) == events[:-1001:-1]
        assert engine.usage()[0].events == 2_500
        engine.ingest(events)
        assert engine.usage()[0].events == 2_500


def test_what_was_counted_before_cells_had_columns_is_still_counted(database: str) -> None:
    at = START.replace(minute=0)
    meters = [Meter("m", "image_generated", Aggregation(*told)) for told in COUNTED_BEFORE]
    _count_as_before(database, meters, int(at.timestamp()) // 3600)
    with Engine(database) as engine:
        for meter in meters:
            define(engine, "", meter)
        assert _measured(engine, meters) == [7, 2, 5, Decimal("1.5"), 2**70]
        properties = {"units": 6, "seconds": 2, "huge": 2**62}
        engine.ingest([Event("image_generated", "evt_1", "cust_1", at, properties)])
        assert all(counts_apart(engine, "", meter) for meter in meters)
        expected = [13, 3, 6, Decimal("3.5"), 2**70 + 2**62]
        assert _measured(engine, meters) == expected
        days = timedelta(days=3)  # later: the days before are made, but the one that was there
        engine.ingest([Event("image_generated", "evt_2", "cust_1", at + days, properties)])
        engine.ingest([Event("image_generated", "evt_3", "cust_1", at, properties)])
        expected = [19, 4, 6, Decimal("5.5"), 2**70 + 2**63]
        assert _measured(engine, meters) == expected


def _count_as_before(database: str, meters: Sequence[Meter], hour: int) -> None:
    """Make a database of the version before, with a cell; its last meter was retired."""
    states = {str(10 + at): state for at, state in enumerate(COUNTED_BEFORE.values())}
    told = json.dumps({**states, "15": [1, 9, 9]})
    definitions = [definition_of(m) for m in (*meters, replace(meters[0], include_unbilled=True))]
    slots = ", ".join(f"({10 + n}, 7, :d{n}, 0, 0, :r{n})" for n in range(6))
    retired = {f"r{n}": n == 5 for n in range(6)}
    for connection in raw(database):
        upgraded(connection, "0006")
        for statement in (
            "names (id, name) VALUES (7, ''), (8, 'cust_1')",
            (
                "rollup_families (id, environment, event_name, keys) "
                "VALUES (7, '', 'image_generated', '[]')"
            ),
            "rollup_combinations (id, digest, labels) VALUES (7, :digest, '{}')",
            (
                "rollup_meters (id, family_id, definition, live_after, done_until, retired) "
                f"VALUES {slots}"
            ),
            (
                "rollup_hours (family_id, customer_id, at, combination_id, states) "
                "VALUES (7, 8, :hour, 7, :told)"
            ),
            (
                "rollup_days (family_id, customer_id, at, combination_id, states) "
                "VALUES (7, 8, :hour / 24, 7, :told)"
            ),
        ):
            values = {"digest": b"0" * 16, "hour": hour, "told": told, **retired}
            values |= {f"d{n}": definition for n, definition in enumerate(definitions)}
            named = {n: v for n, v in values.items() if f":{n}" in statement}
            connection.execute(text(f"INSERT INTO {statement}"), named)


def _measured(engine: Engine, meters: Sequence[Meter]) -> list[Decimal]:
    found: list[Decimal] = []
    for meter in meters:
        for length in (timedelta(hours=1), timedelta(days=2)):
            start = START.replace(hour=0, minute=0) if length.days else START.replace(minute=0)
            query = MeterQuery(meter, ("cust_1",), start, start + length)
            found.append(measure(engine.store, query)[0].quantity)
    assert found[::2] == found[1::2]
    return found[::2]
