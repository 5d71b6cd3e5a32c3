"""
What a decorated function handed out unfinished: its items are read as they pass.

Each object keeps its type: a proxy stands for it, and only the next step goes through us.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Coroutine, Generator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import wrapt

from tokenmeter.capture.observation import Outcome


class Session(Protocol):
    """One call of a decorated function."""

    def step(self, end: type[Exception] | None = None) -> AbstractContextManager[None]:
        """Enter the scope for one step of the function; `end` is no failure."""
        ...

    def item(self, value: object) -> None:
        """Look at a value that the function returned or yielded."""
        ...

    def ended(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Close the call; safe in finalizers unless it was a success."""
        ...


def awaited(session: Session, value: Any) -> Coroutine[Any, Any, Any]:
    """Stand for a coroutine: it runs inside the scope, and its result is looked at."""
    made: Any = _awaited(session, value)
    made.__name__, made.__qualname__ = value.__name__, value.__qualname__
    # Python warns of a coroutine that nobody awaits: once, by its own name, and not if closed.
    weakref.finalize(made, value.close).atexit = False
    waited_for: Coroutine[Any, Any, Any] = made
    return waited_for


async def _awaited(session: Session, value: Awaitable[Any]) -> Any:
    with session.step():
        result = await value
    session.item(result)
    session.ended("success")
    return result


def follow(session: Session, future: Any) -> Any:
    """Look at the result of a task or future when it is there; returns the same object."""

    def finished(done: Any) -> None:
        # done.exception() would make asyncio forget that nobody has looked at it.
        error: BaseException | None = None if done.cancelled() else done._exception  # noqa: SLF001
        if done.cancelled() or error is not None:
            session.ended("cancelled" if error is None else "failed", error)
            return
        session.item(done.result())
        session.ended("success")

    future.add_done_callback(finished)
    return future


class _Watched(wrapt.ObjectProxy[Any]):
    """A proxy that records its call when it is dropped unfinished."""

    def __init__(self, wrapped: Any, session: Session) -> None:
        super().__init__(wrapped)
        self._self_session = session

    def __enter__(self) -> Any:
        entered = self.__wrapped__.__enter__()
        return self if entered is self.__wrapped__ else entered

    async def __aenter__(self) -> Any:
        entered = await self.__wrapped__.__aenter__()
        return self if entered is self.__wrapped__ else entered

    def __del__(self) -> None:
        self._self_session.ended("cancelled")


class WatchedIterator(_Watched):
    """An iterator of a library without a tap."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            with self._self_session.step(StopIteration):
                item = next(self.__wrapped__)
        except StopIteration:
            self._self_session.ended("success")
            raise
        self._self_session.item(item)
        return item


class WatchedAsyncIterator(_Watched):
    """The same for an async iterator."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            with self._self_session.step(StopAsyncIteration):
                item = await anext(self.__wrapped__)
        except StopAsyncIteration:
            self._self_session.ended("success")
            raise
        self._self_session.item(item)
        return item


class WatchedAwaitable(wrapt.ObjectProxy[Any]):
    """An object of a library that can be awaited, once or by each of its users."""

    def __init__(self, wrapped: Any, session: Session) -> None:
        super().__init__(wrapped)
        self._self_session = session

    def __await__(self) -> Generator[Any, Any, Any]:
        return _awaited(self._self_session, self.__wrapped__).__await__()


class WatchedPages(WatchedAwaitable):
    """One that can also be iterated over, as the pages of a list."""

    def __aiter__(self) -> Any:
        return WatchedAsyncIterator(aiter(self.__wrapped__), self._self_session)


def watched_awaitable(session: Session, value: Any) -> Any:
    """Stand for an awaitable that is neither a coroutine nor a future."""
    kind = WatchedPages if hasattr(value, "__aiter__") else WatchedAwaitable
    return kind(value, session)
