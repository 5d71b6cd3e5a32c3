"""Whose call is this: customer, feature, environment and tags, and the scope they hold in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

from tokenmeter.errors import ConfigurationError
from tokenmeter.frozen import value
from tokenmeter.money import Money
from tokenmeter.usage import NOTHING, Usage

if TYPE_CHECKING:
    from tokenmeter.event import Event

UNATTRIBUTED = "unattributed"
RUN_EVENTS_MAX = 10_000  # a run keeps at most this many of its events in memory
NOTES_MAX = 1_000  # failed attempts that one scope remembers for their retries


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who pays for a call and how it is reported."""

    customer: str | None = None
    feature: str | None = None
    environment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def under(self, inner: Attribution) -> Attribution:
        """Lay the inner attribution over this one."""
        return Attribution(
            inner.customer or self.customer,
            inner.feature or self.feature,
            inner.environment or self.environment,
            {**self.tags, **inner.tags},
        )


def attributed(
    customer: object = None,
    feature: object = None,
    environment: object = None,
    tags: Mapping[str, object] | None = None,
) -> Attribution:
    """Return the attribution that the user named; raises ConfigurationError for odd `tags`."""
    if tags is not None and not _is_mapping(tags):
        raise ConfigurationError(f"tags={tags!r} must be a mapping, such as {{'team': 'a'}}")
    named = {name_of(key): name_of(tag) for key, tag in (tags or {}).items()}
    kept = {key: tag for key, tag in named.items() if key is not None and tag is not None}
    return Attribution(name_of(customer), name_of(feature), name_of(environment), kept)


def _is_mapping(given: object) -> bool:
    return isinstance(given, Mapping)


def name_of(given: object) -> str | None:
    """
    Return a name as text that every database takes: 5 is "5", True is "true", "" is none.

    It costs no event that an id is a number, or an enum, or holds half a character.
    """
    if given is None:
        return None
    if isinstance(given, str):
        text = str.__str__(given)  # of an enum that is a text, its value
    elif isinstance(given, bytes):
        text = given.decode(errors="replace")
    else:
        text = str(given).lower() if isinstance(given, bool) else str(given)
    if not text.isprintable():
        text = text.replace("\x00", "?").encode(errors="replace").decode()
    return text or None


@dataclass(slots=True, weakref_slot=True)
class Run:
    """One request of the user's product; its events, in the order they closed."""

    run_id: str
    events: list[Event] = field(default_factory=list["Event"])
    events_dropped: int = 0
    price: Callable[[Event], Decimal | None] | None = field(default=None, repr=False)
    _ids: set[str] = field(default_factory=set[str], repr=False, compare=False)

    def add(self, event: Event) -> None:
        """Keep an event of this run; another sight of it (a poll, a webhook) changes nothing."""
        if event.event_id in self._ids:
            return
        if len(self.events) < RUN_EVENTS_MAX:
            self._ids.add(event.event_id)
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

    @property
    def cost(self) -> Money | None:
        """What providers bill for the run, in USD; None if one call has no known price."""
        total = Decimal(0)
        for event in self.events:
            cost = self.price(event) if self.price else None
            if cost is None:
                return None
            total += cost
        return Money(total)


@value(frozen=True, slots=True)
class Repeats:
    """What a retry has in common with the attempt that failed."""

    fingerprint: bytes  # of the request
    attribution: Attribution
    run_id: str | None
    meter: object  # one per meter, compared by identity


@dataclass(slots=True, eq=False)
class Note:
    """
    An attempt, waiting to be claimed by the one that repeats it: it failed, or can be replayed.

    What can be replayed is noted when it begins; its event and its end are filled in then.
    """

    repeats: Repeats
    call_id: str
    attempt: int
    event_id: str
    failed_at_s: float  # monotonic
    # The request that repeats nothing by a like call: it makes two. Weak: notes outlive requests.
    within: ReferenceType[Run] | None = None

    def may_be_claimed_in(self, run: Run | None) -> bool:
        """Whether an attempt of this request can be the repetition."""
        owner = None if self.within is None else self.within()
        return owner is None or owner is not run


class Scope:
    """
    What child tasks and copied contexts share: attribution, run, meter and failed attempts.

    The object is made by `attribute`, `run` and `metered`; contexts copy the reference.
    """

    __slots__ = (
        *("attribution", "event_name", "gate", "keeps_notes", "meter", "notes", "observed"),
        *("outer", "previews", "run", "watch"),
    )

    def __init__(
        self,
        outer: Scope | None,
        attribution: Attribution,
        run: Run | None = None,
        meter: Any = None,
    ) -> None:
        self.outer = outer
        self.attribution = attribution
        self.run = run
        self.meter = meter
        self.observed = 0  # exchanges opened inside, for @metered
        self.notes: list[Note] = []
        self.watch: Callable[[Any], None] | None = None  # is told of each exchange opened inside
        self.event_name: str | None = None
        self.previews = False  # calls stop at the tap
        # Every attempt leaves a note: a replayed request repeats a success, too.
        self.keeps_notes = False
        self.gate: Any = None  # asked before each call
        if outer is not None:
            self.event_name, self.previews = outer.event_name, outer.previews
            self.keeps_notes, self.gate = outer.keeps_notes, outer.gate

    def leave_note(self, note: Note) -> None:
        """Remember a failed attempt; the oldest is forgotten when there are too many."""
        self.notes.append(note)
        if len(self.notes) > NOTES_MAX:
            del self.notes[0]

    @property
    def replayed_in(self) -> Scope:
        """The outermost scope that keeps notes of all attempts: replays share it."""
        found = self
        while found.outer is not None and found.outer.keeps_notes:
            found = found.outer
        return found

    def add(self, event: Event) -> None:
        """Let the run, if there is one, keep an event."""
        if self.run is not None:
            self.run.add(event)

    def tell(self, exchange: Any) -> None:
        """Count an exchange that was opened inside, and tell whoever watches."""
        level: Scope | None = self
        while level is not None:
            level.observed += 1
            if level.watch is not None:
                level.watch(exchange)
            level = level.outer

    def chain(self) -> Iterator[Scope]:
        """This scope and those around it, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer


NO_ATTRIBUTION = Attribution()
_scope: ContextVar[Scope | None] = ContextVar("tokenmeter_scope", default=None)
current_scope = _scope.get


def inner_scope(
    attribution: Attribution = NO_ATTRIBUTION, *, run: Run | None = None, meter: Any = None
) -> Scope:
    """Build a scope inside the current one; what is not given is inherited."""
    outer = _scope.get()
    if outer is None:
        return Scope(None, attribution, run, meter)
    return Scope(
        outer, outer.attribution.under(attribution), run or outer.run, meter or outer.meter
    )


def innermost() -> Scope:
    """Return the current scope; where there is none, make one for this context."""
    scope = _scope.get()
    if scope is None:
        scope = Scope(None, NO_ATTRIBUTION)
        _scope.set(scope)
    return scope


@contextlib.contextmanager
def entered(scope: Scope) -> Generator[Scope]:
    """Make `scope` the innermost one; restore the outer one on the way out."""
    token = enter(scope)
    try:
        yield scope
    finally:
        inside = _scope.get()
        leave(scope, token)
        if inside is not scope or _left_early.get():
            _in_order(scope, inside)


# Left in this context while a scope inside was still entered: by generators that take turns.
_left_early: ContextVar[tuple[Scope, ...]] = ContextVar("tokenmeter_left_early", default=())


def _in_order(scope: Scope, inside: Scope | None) -> None:
    """Stay in what is still entered, and come back to nothing that was left before."""
    early, restored = _left_early.get(), _scope.get()
    if inside is not None and inside is not scope and scope in inside.chain():
        early, restored = (*early, scope), inside
    while restored is not None and restored in early:
        restored = restored.outer
    around = () if restored is None else tuple(restored.chain())
    _left_early.set(tuple(each for each in early if each in around))
    _scope.set(restored)


enter = _scope.set  # make a scope the innermost one; the token is for `leave`


def leave(scope: Scope, token: Token[Scope | None]) -> None:
    """Restore the scope that was there before `enter`."""
    try:
        _scope.reset(token)
    except ValueError:  # a generator may go on, or be finalized, in another context
        if _scope.get() is scope:
            _scope.set(scope.outer)
    if scope.notes:
        hand_notes_out(scope)


def hand_notes_out(scope: Scope) -> None:
    """Give failed attempts to the scope outside: the retry may open a scope of its own."""
    outer = scope.outer or innermost()
    if outer is not scope:
        for note in scope.notes:
            outer.leave_note(note)
        scope.notes = []
