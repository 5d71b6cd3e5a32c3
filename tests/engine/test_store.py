from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.engine.made import made, numbered, url
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store import sqlite as store_module
from tokenmeter.engine.store.schema import HEAD, VERSION_TABLE
from tokenmeter.errors import ConfigurationError, StoreBusyError, StoreError


def test_head_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "tokenmeter.engine.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_opening_again_keeps_what_is_stored(database: str) -> None:
    with Engine(database) as engine:
        engine.ingest(numbered(3))
    with Engine(database) as engine:
        assert engine.usage()[0].events == 3


def test_a_commit_is_on_disk_in_wal_mode_with_an_fsync(engine: Engine, tmp_path: Path) -> None:
    with engine._store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_database_of_a_newer_version_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "usage.db")
    raw.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="written by a newer tokenmeter"):
        Engine(url(tmp_path / "usage.db"))


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x" * 5000)
    with pytest.raises(StoreError, match=r"notes\.txt could not be used: file is not a database"):
        Engine(url(path))
    assert path.read_text() == "x" * 5000


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("usage.db", "is not a backend URL"),
        ("sqlite:///", "names no file; write sqlite:///usage.db"),
        ("sqlite://", "names no file; write sqlite:///usage.db"),
        ("postgresql://me:p@ss@host/db", "a password has an @; write %40 for it"),
        ("mysql://host/db", "keeps events in SQLite or PostgreSQL, not in mysql"),
        ("sqlite:////no/such/folder/usage.db", "folder /no/such/folder does not exist"),
    ],
)
def test_a_wrong_url_raises_at_once_and_says_what_to_do(wrong: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Engine(wrong)


def test_threads_share_a_database_in_memory() -> None:
    with Engine("sqlite:///:memory:") as engine:
        batches = [numbered(40)[i : i + 10] for i in range(0, 40, 10)]
        threads = [threading.Thread(target=engine.ingest, args=(batch,)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine.usage()[0].events == 40


def test_a_writer_waits_for_another_and_then_writes(engine: Engine, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.execute, args=("COMMIT",))
    release.start()
    started = time.monotonic()
    engine.ingest([made()])
    assert time.monotonic() - started >= 0.15
    release.join()
    other.close()
    assert engine.usage()[0].events == 1


def test_a_lock_that_is_never_released_is_reported_and_nothing_is_stored(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_WAIT_S_MAX", 0.05)
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="another process kept"):
        engine.ingest([made()])
    assert engine.usage() == []  # readers do not wait
    other.execute("COMMIT")
    other.close()
    assert engine.ingest([made()]).accepted == 1


def test_a_batch_that_fails_half_way_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    engine.ingest([made("before")])
    raw = sqlite3.connect(tmp_path / "usage.db")
    raw.execute(
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.event_id = x'006576745f37' "
        "BEGIN SELECT RAISE(FAIL, 'the disk is full'); END"
    )
    raw.commit()
    with pytest.raises(StoreError, match="the disk is full") as caught:
        engine.ingest(numbered(10))
    assert "cust_1" not in str(caught.value)  # no contents in the message
    raw.execute("DROP TRIGGER full")
    raw.commit()
    raw.close()
    assert [event.event_id for event in engine.events().events] == ["before"]
    assert engine.ingest(numbered(10)).accepted == 10
    assert engine.usage()[0].events == 11
