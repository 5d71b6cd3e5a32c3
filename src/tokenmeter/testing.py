"""
Pytest fixtures for programs that use tokenmeter: import them in your conftest.py.

``from tokenmeter.testing import memory_meter``
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tokenmeter
from tokenmeter.meter import TokenMeter

__all__ = ["memory_meter"]


@pytest.fixture
def memory_meter() -> Iterator[TokenMeter]:
    """
    Meter what the test calls, whatever client makes it; nothing outlives the test.

    It is the default meter of the test: after `flush()` its events are in `backend.events`.
    """
    meter = tokenmeter.configure(backend="memory:")
    tokenmeter.instrument()
    yield meter
    tokenmeter.shutdown()
