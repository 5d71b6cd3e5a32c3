"""How long to wait for a locked database: a store's own limit, or less where a call waits."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar, Token
from types import TracebackType

_until: ContextVar[float] = ContextVar("tokenmeter_patience", default=math.inf)


class Patience:
    """``with Patience(2.0):`` all writing within waits for locks that long at most, in sum."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._token: Token[float] = _until.set(time.monotonic() + self._seconds)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _until.reset(self._token)


def wait_s(most: float) -> float:
    """Tell how long to wait now, where a store itself would wait `most` seconds."""
    until = _until.get()
    return most if until == math.inf else max(0.0, min(most, until - time.monotonic()))
