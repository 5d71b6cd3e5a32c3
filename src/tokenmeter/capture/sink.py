"""What capture needs of a meter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tokenmeter.attribution import Scope
from tokenmeter.capture.eventids import EventIds
from tokenmeter.capture.known import KnownCalls
from tokenmeter.capture.observation import Observation, Shape
from tokenmeter.capture.policy import Policy
from tokenmeter.event import Event

if TYPE_CHECKING:
    from tokenmeter.capture.exchange import Exchange


class Sink(Protocol):
    """Where closed exchanges go: the meter."""

    policy: Policy
    shape: Shape  # how observations are written as events
    hosts: Mapping[str, str]  # what the user calls hosts that we do not know
    is_shut: bool  # it takes no calls any more
    key: object  # stands for the meter where its attempts are compared
    ids: EventIds  # given out so far
    gateways: frozenset[str]  # origins of our own gateways, whose events are not ours to make
    known: KnownCalls  # what requests ask for
    open_exchanges: set[Exchange]  # closed at shutdown, whoever still holds their streams

    def observed(self, observation: Observation, scope: Scope | None) -> Sequence[Event]:
        """Take a closed exchange; return the events it became."""
        ...

    def keep(self, event: Event, scope: Scope | None) -> None:
        """Put an event in the journal, and in its run."""
        ...

    def entered(self, line: bytes) -> int:
        """Remember a call that is under way, in case the process dies; for `left`."""
        ...

    def left(self, entered: int) -> None:
        """Forget a call that was under way; safe in finalizers."""
        ...

    def soon(self, work: Callable[[], None]) -> None:
        """Run `work` now if it need not wait, else on another thread; safe in finalizers."""
        ...

    def defer(self, work: Callable[[], None]) -> None:
        """Run `work` on another thread; safe in finalizers."""
        ...

    def fault(self, error: BaseException) -> None:
        """Log a fault of ours, once, and count it."""
        ...
