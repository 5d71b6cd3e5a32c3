"""Threads of our own for what may wait: a database, a server. Nobody else's work waits for it."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS_MAX = 64  # calls that are decided about at once; more wait for one of them

Result = TypeVar("Result")


class _Threads:
    """The pool, made when it is first needed, and anew in a forked child."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def pool(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS_MAX, "tokenmeter-gate")
        return self._pool


_THREADS = _Threads()


async def in_thread(
    work: Callable[[], Result], undo: Callable[[Result], None] | None = None
) -> Result:
    """
    Run what may wait, in the context of the caller; the event loop goes on.

    If the caller is cancelled while the work is done, `undo` gets what it came to.
    """
    doing = _THREADS.pool().submit(contextvars.copy_context().run, work)
    try:
        return await asyncio.wrap_future(doing)
    except BaseException:
        if undo is not None and not doing.cancel():
            doing.add_done_callback(lambda done: _undone(done, undo))
        raise


def _undone(done: Future[Result], undo: Callable[[Result], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        undo(done.result())
