"""Who is told when this process forks."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forking(Protocol):
    """What wants to be told of a fork."""

    def before_fork(self) -> None:
        """Get ready."""
        ...

    def after_fork(self) -> None:
        """Go on, in the parent."""
        ...

    def forked(self) -> None:
        """Start anew, in the child."""
        ...


_alive: weakref.WeakSet[Forking] = weakref.WeakSet()


def watch(told: Forking) -> None:
    """Tell it of forks as long as it is alive."""
    _alive.add(told)


def _before() -> None:
    for told in list(_alive):
        told.before_fork()


def _in_parent() -> None:
    for told in list(_alive):
        told.after_fork()


def _in_child() -> None:
    for told in list(_alive):
        told.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
