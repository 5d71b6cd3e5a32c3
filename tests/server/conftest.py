from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.server.running import Server, running


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server, None, None]:
    """A server on a loopback port, over an empty database, and its admin key."""
    with running(f"sqlite:///{tmp_path / 'usage.db'}") as started:
        yield started
