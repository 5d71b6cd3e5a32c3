from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.made import url
from tokenmeter.engine.local import Engine


@pytest.fixture
def database(tmp_path: Path) -> str:
    return url(tmp_path / "usage.db")


@pytest.fixture
def engine(database: str) -> Generator[Engine, None, None]:
    with Engine(database) as opened:
        yield opened
