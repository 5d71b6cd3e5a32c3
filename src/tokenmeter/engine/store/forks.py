"""
Keep an open SQLite file safe over `fork`.

A SQLite connection must not be carried into a child process: the child would believe in locks
that it does not hold. So before a fork the running uses end (at most FORK_WAIT_S_MAX), the
pooled connections are closed, and both processes open new ones when they need them. If a use
does not end in time, the child abandons what it inherited, unclosed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine, Pool

FORK_WAIT_S_MAX = 5.0


class ForkGate:
    """Counts the uses of one SQLAlchemy engine; a fork waits for them and empties its pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False
        _gates.add(self)

    @contextlib.contextmanager
    def use(self) -> Generator[None, None, None]:
        """Hold off forks while the body runs."""
        with self._changed:
            # Without the flag a busy thread would come back in before the fork gets its turn.
            self._changed.wait_for(lambda: not self._shut)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Let nobody in, wait for those inside, close the pooled connections."""
        self._changed.acquire()
        self._shut = True
        if self._changed.wait_for(self._is_idle, FORK_WAIT_S_MAX):
            self._engine.dispose()

    def reopen(self) -> None:
        """Let uses in again."""
        self._shut = False
        self._changed.notify_all()
        self._changed.release()

    def renew(self) -> None:
        """Start afresh in the child: no other thread lives here."""
        if not self._is_idle():
            _abandoned.append(self._engine.pool)  # closing it would release the parent's locks
            self._engine.dispose(close=False)
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False

    def _is_idle(self) -> bool:
        return self._inside == 0


_gates: weakref.WeakSet[ForkGate] = weakref.WeakSet()
_shut: list[ForkGate] = []  # while a fork is under way
_abandoned: list[Pool] = []


def _before_fork() -> None:
    for gate in list(_gates):
        gate.shut()
        _shut.append(gate)


def _after_fork_in_parent() -> None:
    while _shut:
        _shut.pop().reopen()


def _after_fork_in_child() -> None:
    while _shut:
        _shut.pop().renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
