"""Fixtures for all tests: a memory meter, and a state directory that is nobody else's."""

from __future__ import annotations

import gc
import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import postgres_server
from tokenmeter import TokenMeter

__all__ = ["postgres_server"]  # a fixture

# Where Python is told to keep no bytecode, each process of a test would compile our source, and
# each of pytest's its rewritten tests, again: a minute and more of every run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Each client that is made loads all authorities of the world, for 30 ms: here nobody needs any.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("authority.pem"))

NAME_MAX = 30  # of a test's name in that of its folder
_numbers = itertools.count()

# How long an example takes says how busy the machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_collection_finish() -> None:
    """Set aside what was imported and collected: each later collection would walk through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own; pytest's own way moves a link to the newest one each time."""
    name = re.sub(r"\W", "_", request.node.name)[:NAME_MAX]
    folder = tmp_path_factory.getbasetemp() / f"{next(_numbers)}-{name}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def _own_state(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test out of the user's state directory; who needs its own makes it."""
    monkeypatch.setenv("TOKENMETER_HOME", str(_homes / str(next(_numbers))))
    monkeypatch.delenv("TOKENMETER_BACKEND", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # xdist sets it, and tables would fold


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    """An instrumented meter that keeps its events in memory."""
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()
    assert not made.faults, "tokenmeter reported a fault of its own"
