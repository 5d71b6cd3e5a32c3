"""How long a block of the user's took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Mapping
from decimal import Decimal
from typing import Any


@contextlib.contextmanager
def timed(
    record: Callable[..., Any], event_name: str, dimensions: Mapping[str, str | None]
) -> Generator[None]:
    """Record the seconds that the block takes, and whether it raised."""
    started = time.perf_counter()
    outcome = "failed"
    try:
        yield
        outcome = "success"
    finally:
        seconds = Decimal(f"{time.perf_counter() - started:.6f}")
        record(event_name, {"time_seconds": seconds}, **{"outcome": outcome, **dimensions})
