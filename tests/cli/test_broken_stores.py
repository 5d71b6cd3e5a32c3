"""Every command that reads a backend says in one sentence what is wrong with it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.engine.made import made, url
from tokenmeter.cli import EXIT_MISTAKE, app
from tokenmeter.config import default_backend_url
from tokenmeter.engine.local import Engine

COMMANDS = (
    ("usage",),
    ("events",),
    ("invoice", "run"),
    ("invoice", "preview", "acme"),
    ("wallet", "show", "acme"),
    ("keys", "list"),
    ("catalog", "export"),
    ("jobs",),
    ("prices", "check"),
)


def empty_folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("These are notes, and no database at all.\n" * 100)


def half(path: Path) -> None:
    with Engine(url(path)) as engine:
        engine.ingest([made(f"evt_{n}") for n in range(200)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE events (id)")
    raw.close()


def newer(path: Path) -> None:
    Engine(url(path)).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE tokenmeter_version SET version_num = '0999'")
    raw.close()


STORES = {
    "a folder": (empty_folder, "is a folder; name the file in it"),
    "a text": (text, "file is not a database; name another file"),
    "half a file": (half, "restore it from a backup, or name another file"),
    "another program's": (another_programs, "holds tables of another program (events)"),
    "of a newer version": (newer, "written by a newer tokenmeter; upgrade tokenmeter"),
}


@pytest.mark.parametrize(("make", "sentence"), STORES.values(), ids=STORES.keys())
def test_a_store_that_cannot_be_read_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, make: object, sentence: str
) -> None:
    assert callable(make)
    path = tmp_path / "a b ünï #1.db"
    make(path)
    for command in COMMANDS:
        result = CliRunner().invoke(app, [*command, "--backend", url(path)])
        assert result.exit_code == EXIT_MISTAKE, (command, result.output)
        (said,) = result.stderr.splitlines()
        assert said.startswith("tokenmeter: ")
        assert sentence in said, (command, said)
        assert result.stdout == ""


@pytest.mark.parametrize("name", ["q?x=1", "p%41", "h#x", "sp ace ünï", "100%"])
def test_a_state_directory_of_any_name_holds_the_default_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / name
    monkeypatch.setenv("TOKENMETER_HOME", str(home))
    monkeypatch.delenv("TOKENMETER_BACKEND", raising=False)
    home.mkdir()
    with Engine(default_backend_url()) as engine:
        engine.ingest([made("evt_1")])
    assert (home / "usage.db").is_file()
    result = CliRunner().invoke(app, ["events"])
    assert result.exit_code == 0, result.output
    assert "evt_1" in CliRunner().invoke(app, ["events", "--json"]).stdout
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_database_that_another_process_holds_whole_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenmeter.engine.store.sqlite.READ_WAIT_MS_MAX", 50)
    path = tmp_path / "usage.db"
    Engine(url(path)).close()
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA locking_mode=EXCLUSIVE")
    raw.execute("BEGIN EXCLUSIVE")
    raw.execute("CREATE TABLE held (a)")
    result = CliRunner().invoke(app, ["usage", "--backend", url(path)])
    raw.close()
    assert result.exit_code == EXIT_MISTAKE
    assert result.stderr.endswith("locked for too long; try again\n")
