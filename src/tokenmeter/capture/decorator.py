"""
`@metered`: attribution and a call scope around a function of the user's.

One wrapper for all functions: it looks at what came back (an awaitable, a generator, a value),
not at what was called. The taps are on while the function runs, whoever else is instrumented.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from dataclasses import dataclass
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Unpack

import wrapt

from tokenmeter.attribution import Attribution, Scope, entered, inner_scope
from tokenmeter.capture import taps
from tokenmeter.capture.metering import Extract, Metering, Who
from tokenmeter.capture.observation import Outcome
from tokenmeter.capture.returned import Returned


@dataclass(frozen=True, slots=True)
class Options:
    """What the decorator was given."""

    customer: Who = None
    feature: Who = None
    environment: str | None = None
    tags: Mapping[str, str] | None = None
    extract: Extract | None = None
    event_name: str | None = None


def metered(
    function: Callable[..., Any] | None = None,
    /,
    *,
    find_meter: Callable[[], Any],
    **given: Unpack[Metering],
) -> Any:
    """Build the decorator; `find_meter` returns the meter that the calls belong to."""
    options = Options(**given)

    def around(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        session = _Session(options, find_meter(), wrapped.__qualname__, args, kwargs)
        with session.step():
            value = wrapped(*args, **kwargs)
        return session.returned(value)

    decorator = wrapt.decorator(around)
    return decorator if function is None else decorator(function)


class _Session:
    """One call of a decorated function: its scope, and what came of it."""

    def __init__(self, options: Options, meter: Any, name: str, args: Any, kwargs: Any) -> None:
        self._meter = meter
        self._scope = _scope_for(options, meter, args, kwargs)
        self._returned = Returned(meter, self._scope, name, options.extract)

    def step(self) -> _Step:
        """Enter the scope for one step of the function."""
        return _Step(self)

    def returned(self, value: Any) -> Any:
        """Hand on what the function returned; watch what is still to run."""
        if isinstance(value, GeneratorType):
            return _steps(self, value)
        if isinstance(value, AsyncGeneratorType):
            return _async_steps(self, value)
        if inspect.isawaitable(value):
            return _awaited(self, value)
        if not self._scope.observed and isinstance(value, Iterator):
            return _WatchedIterator(value, self)
        if not self._scope.observed and isinstance(value, AsyncIterator):
            return _WatchedAsyncIterator(value, self)
        self.item(value)
        self.ended("success")
        return value

    def item(self, value: object) -> None:
        """Look at a value that the function returned or yielded."""
        self._returned.look_at(value)

    def ended(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Close the call: an event from the values, if no exchange was seen."""
        self._returned.close(outcome, error)


class _Step:
    """The scope and the taps, on for one step; a step that raises ends the call."""

    __slots__ = ("_entered", "_session")

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._entered = entered(session._scope)  # noqa: SLF001 - same file

    def __enter__(self) -> None:
        taps.PATCHES.acquire()
        self._entered.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._entered.__exit__(None, None, None)
        taps.PATCHES.release()
        if error is not None and not isinstance(error, StopIteration | StopAsyncIteration):
            failed = isinstance(error, Exception)  # else cancelled: a task, Ctrl-C, GeneratorExit
            self._session.ended("failed" if failed else "cancelled", error)


def _scope_for(options: Options, meter: Any, args: Any, kwargs: Any) -> Scope:
    attribution = Attribution(
        _who(options.customer, meter, args, kwargs),
        _who(options.feature, meter, args, kwargs),
        options.environment,
        options.tags or {},
    )
    scope = inner_scope(attribution, meter=meter)
    scope.meter = meter
    scope.event_name = options.event_name or scope.event_name
    return scope


def _who(who: Who, meter: Any, args: Any, kwargs: Any) -> str | None:
    """Ask the user's function for a name; if it raises, the call goes on unattributed."""
    if not callable(who):
        return who
    try:
        return who(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a fault in metering must not stop the call
        meter.fault(error)
        return None


async def _awaited(session: _Session, value: Awaitable[Any]) -> Any:
    with session.step():
        result = await value
    session.item(result)
    session.ended("success")
    return result


def _steps(session: _Session, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run each step of a generator inside the scope; leave it at every yield."""
    resume: Callable[[], Any] = inner.__next__
    while True:
        try:
            with session.step():
                item = resume()
        except StopIteration as stop:
            session.ended("success")
            return stop.value
        session.item(item)
        try:
            sent = yield item
        except GeneratorExit:
            with session.step():
                inner.close()
            session.ended("cancelled")
            raise
        except BaseException as error:  # noqa: BLE001 - thrown in by the caller: pass it on
            resume = _bind(inner.throw, error)
        else:
            resume = _bind(inner.send, sent)


async def _async_steps(
    session: _Session, inner: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    """Run each step of an async generator inside the scope; leave it at every yield."""
    resume: Callable[[], Any] = inner.__anext__
    while True:
        try:
            with session.step():
                item = await resume()
        except StopAsyncIteration:
            session.ended("success")
            return
        session.item(item)
        try:
            sent = yield item
        except GeneratorExit:
            with session.step():
                await inner.aclose()
            session.ended("cancelled")
            raise
        except BaseException as error:  # noqa: BLE001 - thrown in by the caller: pass it on
            resume = _bind(inner.athrow, error)
        else:
            resume = _bind(inner.asend, sent)


def _bind(function: Callable[..., Any], value: object) -> Callable[[], Any]:
    return lambda: function(value)


class _WatchedIterator(wrapt.ObjectProxy[Any]):
    """An iterator of a library without a tap: its items are read as they pass."""

    def __init__(self, wrapped: Any, session: _Session) -> None:
        super().__init__(wrapped)
        self._self_session = session

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            with self._self_session.step():
                item = next(self.__wrapped__)
        except StopIteration:
            self._self_session.ended("success")
            raise
        self._self_session.item(item)
        return item


class _WatchedAsyncIterator(wrapt.ObjectProxy[Any]):
    """The same for an async iterator."""

    def __init__(self, wrapped: Any, session: _Session) -> None:
        super().__init__(wrapped)
        self._self_session = session

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            with self._self_session.step():
                item = await anext(self.__wrapped__)
        except StopAsyncIteration:
            self._self_session.ended("success")
            raise
        self._self_session.item(item)
        return item
