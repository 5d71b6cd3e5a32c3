from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.made import url
from tests.postgres import new_database
from tests.sqlite import new_file
from tokenmeter.engine.local import Engine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a module's tests on both databases if it says ``ON_BOTH_DATABASES = True``."""
    if getattr(metafunc.module, "ON_BOTH_DATABASES", False):
        for name in {"engine", "shared"} & set(metafunc.fixturenames):
            metafunc.parametrize(name, ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(tmp_path: Path) -> str:
    return url(tmp_path / "usage.db")


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Engine, None, None]:
    """An engine with a database of its own: on SQLite, the file of `database`."""
    with Engine(_database(request) or new_file(tmp_path / "usage.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest) -> Generator[Engine, None, None]:
    """An engine for many examples, each in an environment of its own."""
    with Engine(_database(request) or "sqlite:///:memory:") as opened:
        yield opened


def _database(request: pytest.FixtureRequest) -> str | None:
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    return new_database(request.getfixturevalue("postgres_server"))
