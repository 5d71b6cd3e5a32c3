"""Check a tokenmeter that was installed from its wheel, without extras."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import files, version
from pathlib import Path

import tokenmeter
from tokenmeter.engine.local import Engine

EXIT_MISTAKE = 2


def check_package() -> None:
    """The package is the installed one, typed, and carries the demo's recorded answers."""
    home = Path(tokenmeter.__file__).parent
    carried = {Path(str(path)).name for path in files("tokenmeter") or ()}
    assert home.is_relative_to(sys.prefix), f"{home} is not in {sys.prefix}"
    assert {"py.typed", "openai_chat.yaml"} <= carried
    assert importlib.util.find_spec("openai") is None


def check_default_backend() -> None:
    """What is recorded is in the database."""
    meter = tokenmeter.configure(backend="sqlite:///usage.db")
    event = meter.record("image_generated", {"image_count": 2}, customer="acme")
    assert tokenmeter.shutdown()
    with Engine("sqlite:///usage.db") as engine:
        assert [found.event_id for found in engine.events().events] == [event.event_id]


def check_missing_extra() -> None:
    """The demo says in one sentence what to install."""
    program = Path(sys.executable).with_name("tokenmeter")
    done = subprocess.run([program, "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_MISTAKE, done
    assert "tokenmeter[demo]" in done.stderr, done.stderr


check_package()
check_default_backend()
check_missing_extra()
print(f"tokenmeter {version('tokenmeter')} works as installed, without extras")
