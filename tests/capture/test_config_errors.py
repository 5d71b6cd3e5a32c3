"""A wrong configuration is one sentence that says what to do, raised at start."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import tokenmeter
from tests.capture.play import LIBRARIES, Player
from tokenmeter import ConfigurationError, Policy, TokenMeter, UnknownClientError
from tokenmeter.capture import taps
from tokenmeter.errors import StoreError


def refused(*args: Any, **options: Any) -> str:
    """The one sentence with which a meter is refused."""
    threads = threading.active_count()
    with pytest.raises((ConfigurationError, StoreError)) as caught:
        TokenMeter(*args, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400
    assert threading.active_count() == threads, "a thread was left behind"
    return said


@pytest.mark.parametrize(
    "url",
    [
        *("", "usage.db", "postgress://x", "kafka:", "sqlite", "memory", "://", "http//x", "5"),
        *("sqlite:///no/such/folder/usage.db", "sqlite:////dev/null/usage.db"),
    ],
)
def test_a_wrong_backend_url_is_refused_with_what_to_write(tmp_path: Path, url: str) -> None:
    said = refused(url, state_dir=tmp_path)
    assert "sqlite:///" in said or "correct" in said


def test_a_password_in_a_wrong_url_is_not_shown(tmp_path: Path) -> None:
    said = refused("flexprize://user:s3cret@host?api_key=hidden", state_dir=tmp_path)
    assert "s3cret" not in said
    assert "hidden" not in said


@pytest.mark.parametrize("backend", [5, object(), [], [5], ["memory:", "nonsense:"], dict])
def test_what_is_no_backend_is_refused(tmp_path: Path, backend: Any) -> None:
    assert refused(backend, state_dir=tmp_path)


def test_a_state_directory_below_a_file_is_refused_and_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    said = refused(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=file / "state")
    assert str(file / "state") in said
    assert "TOKENMETER_HOME" in said
    said = refused(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=file)
    assert str(file) in said


def test_the_directory_of_the_environment_is_refused_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path / "file" / "home"))
    assert "TOKENMETER_HOME" in refused(f"sqlite:///{tmp_path / 'usage.db'}")
    assert "TOKENMETER_HOME" in refused(), "also where the default database would lie"
    with pytest.raises(ConfigurationError):
        tokenmeter.configure()
    with pytest.raises(ConfigurationError):
        tokenmeter.instrument()
    monkeypatch.setenv("TOKENMETER_BACKEND", "nonsense:")
    assert "nonsense" in refused()


def test_a_state_directory_that_holds_a_strange_job_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("this is no database, but long enough to be one" * 50)
    said = refused(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path)
    assert "jobs.db" in said


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usage.db").write_text("this is no database, but long enough to be one" * 50)
    assert "usage.db" in refused(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path)
    (tmp_path / "folder.db").mkdir()
    assert "folder.db" in refused(f"sqlite:///{tmp_path / 'folder.db'}", state_dir=tmp_path)


def test_other_words_are_refused_with_those_that_are_known() -> None:
    wrong: Any = "both"
    assert "'flexprice' or 'tokens_total'" in refused("memory:", shape=wrong)
    assert "fsync" in refused("memory:", durability=wrong)
    with pytest.raises(ConfigurationError, match="'estimate', 'drain' or 'partial'"):
        Policy(on_abort=wrong)
    for window in (-1, float("nan"), wrong):
        with pytest.raises(ConfigurationError, match="must not be negative"):
            Policy(retry_window_s=window)
    with pytest.raises(ConfigurationError, match="no function"):
        Policy(billable=wrong)
    assert "Policy(on_abort=" in refused("memory:", policy=wrong)
    assert "{'llm.internal': 'vllm'}" in refused("memory:", hosts=["llm.internal"])
    for gateways in (5, [5], [None], ["gateway"]):
        assert "'https://gateway.internal:8080'" in refused("memory:", gateways=gateways)
    for names in (["text_generated"], {"text_generated": 5}, {"text_generated": " "}):
        assert "{'text_generated': 'chat'}" in refused("memory:", names=names)
    assert "state_dir=5 is no folder" in refused("memory:", state_dir=5)
    with pytest.raises(ConfigurationError, match="include_usage='no' must be True or False"):
        Policy(include_usage="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("client", [None, 5, "openai", {}, object(), dict, Player, [1]])
def test_an_unknown_client_is_refused_in_one_sentence(client: Any) -> None:
    meter = TokenMeter("memory:")
    with pytest.raises(UnknownClientError) as caught:
        meter.wrap(client)
    assert "instrument()" in str(caught.value)
    assert "\n" not in str(caught.value)
    meter.shutdown()


@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
def test_the_class_of_a_client_is_no_client(library: Any) -> None:
    meter = TokenMeter("memory:")
    with pytest.raises(UnknownClientError):
        meter.wrap(library.Client)
    meter.shutdown()


def test_a_meter_that_was_refused_has_changed_nothing(tmp_path: Path) -> None:
    refused("nonsense:", state_dir=tmp_path / "state")
    assert not (tmp_path / "state").exists()
    assert taps.active_sink() is None


def test_a_meter_without_an_engine_says_which_has_one() -> None:
    meter = TokenMeter("memory:")
    with pytest.raises(ConfigurationError, match="has no local engine; configure"):
        _ = meter.engine
    meter.shutdown()
