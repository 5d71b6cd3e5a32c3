"""What the tests of libraries share that leave sockets open."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture
def left_open() -> Iterator[None]:
    """Collect what a library leaves open, now: not in the test that comes next."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
