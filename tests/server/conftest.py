from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.postgres import new_database
from tests.server.running import Server, running
from tests.sqlite import new_file


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a module's tests on both databases if it says ``ON_BOTH_DATABASES = True``."""
    both = getattr(metafunc.module, "ON_BOTH_DATABASES", False)
    if both and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Server, None, None]:
    """A server on a loopback port, over an empty database, and its admin key."""
    if getattr(request, "param", "sqlite") == "postgresql":
        url = new_database(request.getfixturevalue("postgres_server"))
    else:
        url = new_file(tmp_path / "usage.db")
    with running(url) as started:
        yield started
