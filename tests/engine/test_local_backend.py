from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.engine.made import START, made, numbered, url
from tokenmeter.delivery.protocol import Backend, Receipt, Rejection, TransientError
from tokenmeter.engine.backend import LocalBackend
from tokenmeter.engine.catalog_file import load
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store import sqlite as store_module
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event, Property


def test_it_is_a_backend_that_keeps_each_event_once(database: str) -> None:
    backend = LocalBackend(database)
    assert isinstance(backend, Backend)
    assert backend.send(numbered(3)) == backend.send(numbered(3)) == Receipt(3)
    assert backend.engine.usage()[0].events == 3
    backend.close()


def test_a_refused_event_is_named_with_its_reason(database: str) -> None:
    backend = LocalBackend(database)
    wrong = made("evt_wrong", properties={"input_tokens": "x"})
    receipt = backend.send([made(), wrong])
    assert receipt == Receipt(1, (Rejection("evt_wrong", "input_tokens is not a number"),))
    backend.close()


def test_a_locked_file_is_a_matter_for_later(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LOCK_WAIT_S_MAX", 0.01)
    backend = LocalBackend(database)
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match="locked"):
        backend.send([made()])
    other.close()
    assert backend.send([made()]) == Receipt(1)
    backend.close()


def test_the_default_database_gets_its_folder_and_no_other_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "state" / "tokenmeter"
    monkeypatch.setenv("TOKENMETER_HOME", str(home))
    LocalBackend(url(home / "usage.db")).close()
    assert (home / "usage.db").is_file()
    with pytest.raises(ConfigurationError, match="does not exist; create it"):
        LocalBackend(url(tmp_path / "elsewhere" / "usage.db"))


METERS = """\
meters:
  videos: {event_name: video_generated, aggregation: {type: SUM, field: video_seconds}}
  images: {event_name: image_generated, aggregation: {type: COUNT}}
"""


def test_events_that_lack_what_their_meters_count_are_logged_once(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = LocalBackend(database)
    path = tmp_path / "catalog.yaml"
    path.write_text(METERS, encoding="utf-8")
    backend.engine.catalog.apply(load(path))
    backend.send([video("v1", video_seconds=8), video("v2", video_seconds=0)])
    backend.send([video("v3", billable="false"), made("i1", event_name="image_generated")])
    assert caplog.records == []
    backend.send([video("v4", length=8)])
    backend.send([video("v5", length=8)])
    (logged,) = caplog.records
    assert logged.getMessage() == (
        "tokenmeter: Events 'video_generated' have none of the fields that meters count: "
        "video_seconds."
    )
    assert backend.engine.usage(filters={"event_name": "video_generated"})[0].events == 5
    backend.close()


def video(event_id: str, **properties: Property) -> Event:
    return Event("video_generated", event_id, "cust_1", START, properties)


def database_files(folder: Path, *ends: str) -> None:
    for end in ends:
        (folder / f"usage.db{end}").unlink()


def test_a_deleted_database_is_begun_anew_and_an_event_after_it_is_there(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = LocalBackend(database)
    backend.send(numbered(3))
    database_files(tmp_path, "", "-wal", "-shm")
    assert backend.send([made()]) == Receipt(1)
    backend.close()
    assert "deleted or replaced" in caplog.text
    with Engine(database) as engine:
        assert [event.event_id for event in engine.events().events] == [made().event_id]


def test_a_database_that_is_replaced_takes_what_comes(database: str, tmp_path: Path) -> None:
    with Engine(url(tmp_path / "backup.db")) as engine:
        engine.ingest(numbered(2))
    backend = LocalBackend(database)
    database_files(tmp_path, "", "-wal", "-shm")
    (tmp_path / "backup.db").rename(tmp_path / "usage.db")
    backend.send([made("evt_new")])
    backend.close()
    with Engine(database) as engine:
        assert engine.usage()[0].events == 3


def test_a_database_whose_log_was_left_is_waited_for(database: str, tmp_path: Path) -> None:
    backend = LocalBackend(database)
    backend.send(numbered(3))
    database_files(tmp_path, "")
    with pytest.raises(TransientError, match=r"delete usage.db-wal and usage.db-shm, too"):
        backend.send([made()])
    database_files(tmp_path, "-wal", "-shm")
    assert backend.send([made()]) == Receipt(1)
    backend.close()
