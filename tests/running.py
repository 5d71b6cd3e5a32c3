"""Run a file as a user runs it: in a process of its own, without keys and without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LINES_MAX = 59


def check_says(script: Path, says: str, folder: Path) -> None:
    """Run a script in `folder`; it succeeds, complains of nothing, and says what is asked."""
    environment = {
        **os.environ,
        "TOKENMETER_HOME": str(folder / "home"),
        "OPENAI_BASE_URL": "http://127.0.0.1:9/nobody-listens",  # a call that is not replayed
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


def check_is_short(script: Path) -> None:
    """A script that is read in a minute, and says first what it shows."""
    lines = script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES_MAX
    assert lines[0].startswith('"""')
