"""How long a block of the user's took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Mapping
from decimal import Decimal
from typing import Any

from tokenmeter.capture.recorded import Recorded, check


@contextlib.contextmanager
def timed(
    record: Callable[..., Any], event_name: str, dimensions: Mapping[str, str | None]
) -> Generator[None]:
    """Record the seconds that the block takes, and whether it raised."""
    started = time.perf_counter()
    check(Recorded(event_name, {}, dimensions))  # now, and not in place of the block's own error
    ended: dict[str, str | None] = {"outcome": "success"}
    try:
        yield
    except BaseException as error:
        outcome = "failed" if isinstance(error, Exception) else "cancelled"
        ended = {"outcome": outcome, "error_type": type(error).__name__}
        raise
    finally:
        seconds = Decimal(f"{time.perf_counter() - started:.6f}")
        record(event_name, {"time_seconds": seconds}, **{**ended, **dimensions})
