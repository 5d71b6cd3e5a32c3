"""Run a function up to its first provider call, for a preview."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from tokenmeter.attribution import Scope, entered, inner_scope
from tokenmeter.capture import taps
from tokenmeter.capture.stopping import CallStopped
from tokenmeter.errors import NoCallError


def stopped_call(function: Callable[[], Any], meter: Any) -> Any:
    """
    Run `function` up to its first provider call; return the CallStopped.

    Returns an awaitable of it if the function returns an awaitable, an async iterator or an
    async context manager. Raises NoCallError if no call is made.
    """
    scope = inner_scope(meter=meter)
    scope.previews = True
    return _Preview(scope).first(function)


class _Preview:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def first(self, function: Callable[[], Any]) -> Any:
        found, value = self._run(function)
        if found is not None:
            return found
        if inspect.isawaitable(value):
            return self._awaited(value)
        if isinstance(value, AsyncIterator):
            return self._awaited(anext(value))
        if isinstance(value, AbstractAsyncContextManager):
            return self._awaited(value.__aenter__())
        return self._lazy(value)

    def _lazy(self, value: Any) -> CallStopped:
        """Start what sends its request only when it is entered or iterated."""
        if isinstance(value, AbstractContextManager):
            found, _ = self._run(value.__enter__)
        elif hasattr(value, "__next__"):
            found, _ = self._run(value.__next__)
        else:
            found = None
        if found is None:
            raise NoCallError
        return found

    def _run(self, function: Callable[[], Any]) -> tuple[CallStopped | None, Any]:
        taps.PATCHES.acquire()
        try:
            with entered(self._scope):
                return None, function()
        except CallStopped as stopped:
            return stopped, None
        except BaseExceptionGroup as group:
            return _inside(group), None
        finally:
            taps.PATCHES.release()

    async def _awaited(self, value: Awaitable[Any]) -> CallStopped:
        taps.PATCHES.acquire()
        try:
            with entered(self._scope):
                result = await value
        except CallStopped as stopped:
            return stopped
        except BaseExceptionGroup as group:
            return _inside(group)
        finally:
            taps.PATCHES.release()
        if isinstance(result, AsyncIterator):
            return await self._awaited(anext(result))
        raise NoCallError


def _inside(group: BaseExceptionGroup[BaseException]) -> CallStopped:
    """Find the stop in a group that a task group made; raise the group if it is not there."""
    found: BaseException | None = group.subgroup(CallStopped)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if not isinstance(found, CallStopped):
        raise group
    return found
