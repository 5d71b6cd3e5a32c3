from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tokenmeter import config
from tokenmeter.errors import ConfigurationError


def test_the_home_variable_names_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path))
    monkeypatch.delenv("TOKENMETER_BACKEND", raising=False)
    assert config.state_directory() == tmp_path
    assert config.default_backend_url() == f"sqlite:///{tmp_path}/usage.db"


def test_the_backend_variable_names_the_default_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_BACKEND", "flexprice://us")
    assert config.default_backend_url() == "flexprice://us"


@pytest.mark.parametrize(
    ("platform", "variable", "folder"),
    [
        ("linux", "XDG_STATE_HOME", "set/tokenmeter"),
        ("linux", None, ".local/state/tokenmeter"),
        ("darwin", None, "Library/Application Support/tokenmeter"),
        ("win32", "LOCALAPPDATA", "set/tokenmeter"),
        ("win32", None, "AppData/Local/tokenmeter"),
    ],
)
def test_each_platform_has_its_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    variable: str | None,
    folder: str,
) -> None:
    for name in ("TOKENMETER_HOME", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path / "set"))
    assert config.state_directory() == tmp_path / folder


def test_a_state_directory_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path / "file" / "state"))
    with pytest.raises(ConfigurationError, match="cannot be made"):
        config.make_state_directory()


def test_no_home_directory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TOKENMETER_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigurationError, match="set TOKENMETER_HOME"):
        config.state_directory()


def test_the_command_line_is_a_module_as_well() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tokenmeter", "events", "--backend", "nope:"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 2
    assert said.stderr.startswith("tokenmeter: nope: is no backend")
