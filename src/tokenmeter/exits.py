"""What a meter does when its process ends, or forks."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter


def close_with_process(meter: TokenMeter) -> None:
    """At exit, record what is still open; a forked child leaves the parent's to the parent."""
    known = weakref.ref(meter)

    def at_exit() -> None:
        alive = known()
        if alive is not None:
            alive.close_exchanges()

    def in_child() -> None:
        alive = known()
        if alive is not None:
            for exchange in tuple(alive.open_exchanges):
                exchange.discard()  # also where the child drops or ends the stream it inherited

    atexit.register(at_exit)
    os.register_at_fork(after_in_child=in_child)


def close_all(closers: Iterable[Callable[[float], None]], timeout_s: float) -> float:
    """Close each, all within half of the time; return what is left of the whole."""
    end_s = time.monotonic() + timeout_s
    for close in closers:
        close(max(end_s - timeout_s / 2 - time.monotonic(), 0.0))
    return max(end_s - time.monotonic(), 0.0)
