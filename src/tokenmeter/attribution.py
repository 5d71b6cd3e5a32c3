"""Whose call is this: customer, feature, environment and tags, and the scope they hold in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tokenmeter.usage import NOTHING, Usage

if TYPE_CHECKING:
    from tokenmeter.event import Event

UNATTRIBUTED = "unattributed"
RUN_EVENTS_MAX = 10_000  # a run keeps at most this many of its events in memory


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who pays for a call and how it is reported."""

    customer: str | None = None
    feature: str | None = None
    environment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Run:
    """One request of the user's product; its events, in the order they closed."""

    run_id: str
    events: list[Event] = field(default_factory=list["Event"])
    events_dropped: int = 0

    def add(self, event: Event) -> None:
        if len(self.events) < RUN_EVENTS_MAX:
            self.events.append(event)
        else:
            self.events_dropped += 1

    @property
    def usage(self) -> Usage:
        """The usage of all events of this run, added up."""
        total = NOTHING
        for event in self.events:
            total = total + event.usage
        return total


class Scope:
    """
    What child tasks and copied contexts share: attribution, run, meter and failed attempts.

    The object is created by `attribute`, `run` and `metered`; contexts copy the reference.
    """

    __slots__ = ("attribution", "meter", "observed", "pending", "run")

    def __init__(self, attribution: Attribution, run: Run | None, meter: object | None) -> None:
        self.attribution = attribution
        self.run = run
        self.meter = meter
        self.observed = 0  # exchanges opened inside, for @metered
        self.pending: dict[bytes, list[object]] = {}  # failed attempts by fingerprint


NO_ATTRIBUTION = Attribution()
_scope: ContextVar[Scope | None] = ContextVar("tokenmeter_scope", default=None)


def current_scope() -> Scope | None:
    """Return the innermost scope of this context, if any."""
    return _scope.get()


def inner_scope(
    *,
    attribution: Attribution | None = None,
    run: Run | None = None,
    meter: object | None = None,
) -> Scope:
    """Build a scope inside the current one; what is not given is inherited."""
    outer = _scope.get()
    if outer is None:
        return Scope(attribution or NO_ATTRIBUTION, run, meter)
    merged = outer.attribution if attribution is None else merge(outer.attribution, attribution)
    return Scope(merged, run or outer.run, meter or outer.meter)


def merge(outer: Attribution, inner: Attribution) -> Attribution:
    """Lay the inner attribution over the outer one."""
    return replace(
        outer,
        customer=inner.customer or outer.customer,
        feature=inner.feature or outer.feature,
        environment=inner.environment or outer.environment,
        tags={**outer.tags, **inner.tags},
    )


@contextlib.contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Make `scope` the innermost one; restore the outer one on the way out."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        # A generator may be finalized in another context; there is nothing to restore there.
        with contextlib.suppress(ValueError):
            _scope.reset(token)
