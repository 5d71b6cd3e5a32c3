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
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from dataclasses import dataclass
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, NamedTuple, Unpack

import wrapt

from tokenmeter.attribution import (
    Scope,
    attributed,
    current_scope,
    enter,
    inner_scope,
    leave,
    name_of,
)
from tokenmeter.capture import taps
from tokenmeter.capture.decorated import Decorated
from tokenmeter.capture.metering import Extract, Metering, Who
from tokenmeter.capture.observation import Outcome
from tokenmeter.capture.returned import Returned
from tokenmeter.capture.watched import (
    WatchedAsyncIterator,
    WatchedIterator,
    awaited,
    follow,
    watched_awaitable,
)
from tokenmeter.errors import ConfigurationError


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
    _check(options, function)

    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        meter = find_meter()
        scope = _scope_for(options, meter, Given(instance, args, kwargs))
        name = getattr(wrapped, "__qualname__", None) or type(wrapped).__qualname__
        session = _Session(scope, Returned(meter, scope, name, options.extract))
        with session.step():
            value = wrapped(*args, **kwargs)
        return session.returned(value)

    decorator = wrapt.decorator(proxy=Decorated)(around)
    return decorator if function is None else decorator(function)


def _check(options: Options, function: object) -> None:
    """Refuse what would go wrong at the first call."""
    if function is not None and not callable(function):
        raise ConfigurationError(
            f"metered() got {function!r} as a function; name the option: metered(customer=...)"
        )
    for name in ("customer", "feature", "extract"):
        if inspect.iscoroutinefunction(getattr(options, name)):
            raise ConfigurationError(f"{name}= must be a plain function, not async")


class _Session:
    """One call of a decorated function: its scope, and what came of it."""

    def __init__(self, scope: Scope, returned: Returned) -> None:
        self.scope = scope
        self.inside = scope  # where the function was when it last yielded
        self._returned = returned

    def step(self, end: type[Exception] | None = None) -> _Step:
        """Enter the scope for one step of the function; `end` is no failure."""
        return _Step(self, end)

    def returned(self, value: Any) -> Any:
        """Hand on what the function returned; watch what is still to run."""
        if inspect.isawaitable(value):
            if hasattr(type(value), "_asyncio_future_blocking"):  # what asyncio goes by
                return follow(self, value)
            plain = isinstance(value, CoroutineType | GeneratorType)
            return awaited(self, value) if plain else watched_awaitable(self, value)
        return self._iterated(value)

    def _iterated(self, value: Any) -> Any:
        if isinstance(value, GeneratorType):
            return _steps(self, value)
        if isinstance(value, AsyncGeneratorType):
            return _async_steps(self, value)
        if not self.scope.observed and isinstance(value, Iterator):
            return WatchedIterator(value, self)
        if not self.scope.observed and isinstance(value, AsyncIterator):
            return WatchedAsyncIterator(value, self)
        self.item(value)
        self.ended("success")
        return value

    def item(self, value: object) -> None:
        """Look at a value that the function returned or yielded."""
        self._returned.look_at(value)

    def ended(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Close the call: an event from the values, if no exchange was seen."""
        if outcome == "success":
            self._returned.close(outcome, error)
        else:  # maybe in a finalizer, which must not wait for a lock
            self._returned.close_soon(outcome, error)


class _Step:
    """The scope and the taps, on for one step; a step that raises ends the call."""

    __slots__ = ("_end", "_session", "_token")

    def __init__(self, session: _Session, end: type[Exception] | None) -> None:
        self._session = session
        self._end = end

    def __enter__(self) -> None:
        taps.PATCHES.acquire()
        self._token = enter(self._session.inside)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        session = self._session
        inside = current_scope()
        within = inside is not None and session.scope in inside.chain()
        session.inside = inside if inside is not None and within else session.scope
        leave(session.scope, self._token)  # and what the function is in, until its next step
        taps.PATCHES.release()
        if error is not None and not (self._end and isinstance(error, self._end)):
            failed = isinstance(error, Exception)  # else cancelled: a task, Ctrl-C, GeneratorExit
            self._session.ended("failed" if failed else "cancelled", error)


class Given(NamedTuple):
    """What the function was called with; `instance` is `self`, or `cls`, or None."""

    instance: Any
    args: Any
    kwargs: Any


def _scope_for(options: Options, meter: Any, given: Given) -> Scope:
    attribution = attributed(
        _who(options.customer, meter, given),
        _who(options.feature, meter, given),
        options.environment,
        options.tags,
    )
    scope = inner_scope(attribution, meter=meter)
    scope.meter = meter
    scope.event_name = options.event_name or scope.event_name
    return scope


def _who(who: Who, meter: Any, given: Given) -> str | None:
    """Ask the user's function for a name; if it raises, the call goes on unattributed."""
    if not callable(who):
        return who
    try:
        name: object = who(*_arguments(who, given), **given.kwargs)
    except Exception as error:  # noqa: BLE001 - a fault in metering must not stop the call
        meter.fault(error)
        return None
    return name_of(name)


def _arguments(who: Callable[..., Any], given: Given) -> tuple[Any, ...]:
    """Return the arguments of a method with its `self`, if `who` takes that many."""
    if given.instance is None:
        return tuple(given.args)
    written = (given.instance, *given.args)
    try:
        inspect.signature(who).bind(*written, **given.kwargs)
    except (TypeError, ValueError):
        return tuple(given.args)
    return written


def _steps(session: _Session, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Run each step of a generator inside the scope; leave it at every yield."""
    resume: Callable[[], Any] = inner.__next__
    while True:
        try:
            with session.step(StopIteration):
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
            with session.step(StopAsyncIteration):
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
