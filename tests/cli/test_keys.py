"""`tokenmeter keys`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokenmeter.cli import app
from tokenmeter.engine.keys import ApiKeys, Scope
from tokenmeter.engine.local import Engine


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["keys", *words])
    assert done.exit_code == 0, done.output
    return done.output.strip()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'usage.db'}"


def test_a_key_is_made_listed_and_revoked(url: str) -> None:
    staging = ("--environment", "staging", "--backend", url)
    secret = run("create", "gateway", "--scope", "ingest", "--scope", "read", *staging)
    with Engine(url) as engine:
        found = ApiKeys(engine.store).find(secret)
    assert found is not None
    assert found.environment == "staging"
    assert found.scopes == {Scope.INGEST, Scope.READ}
    (listed,) = json.loads(run("list", "--json", *staging))
    assert (listed["name"], listed["scopes"]) == ("gateway", ["ingest", "read"])
    assert secret not in run("list", *staging)
    run("revoke", listed["id"], *staging)
    with Engine(url) as engine:
        assert ApiKeys(engine.store).find(secret) is None
    assert "revoked" in run("list", *staging)


def test_a_mistake_is_one_sentence(url: str) -> None:
    for words in (("create", "k", "--scope", "root"), ("revoke", "key_unknown")):
        run("create", "first", "--backend", url)
        done = CliRunner().invoke(app, ["keys", *words, "--backend", url])
        assert done.exit_code == 2
        assert done.output.count("\n") == 1
