"""A new SQLite file with our tables in it: a copy of one that is made once in a session."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tokenmeter.engine.local import Engine


def new_file(path: Path) -> str:
    """Make a database without events, and return its URL."""
    path.write_bytes(_template())
    return f"sqlite:///{path}"


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.db"
        with Engine(f"sqlite:///{path}"):
            pass
        return path.read_bytes()
