from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.engine.made import made, numbered, url
from tokenmeter.delivery.protocol import Backend, Receipt, Rejection, TransientError
from tokenmeter.engine.backend import LocalBackend
from tokenmeter.engine.store import sqlite as store_module
from tokenmeter.errors import ConfigurationError


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
