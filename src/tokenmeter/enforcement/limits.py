"""So many requests, tokens or so much money per minute, hour, day or month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.doubt import undecided
from tokenmeter.enforcement.gate import Ask, Refused, Ticket, is_measured, references
from tokenmeter.enforcement.parts import (
    ZERO,
    Counters,
    Ends,
    MoneyOf,
    Part,
    Priced,
    put_right,
    tokens_of,
)
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.enforcement.terms import Enforcement, is_number
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event
from tokenmeter.providers.models import model_type

Per = Literal["minute", "hour", "day", "month"]
Dimension = Literal["customer", "feature", "model", "plan"]
Found = Sequence[tuple["Limit", str]]  # limits that apply, and what each counts a call under
DEFAULT = Enforcement()
_DIMENSIONS = ("customer", "feature", "model", "plan")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Limit:
    """
    At most so much in each window of the UTC clock: ``Limit(per="minute", requests=60)``.

    One of `requests`, `tokens` (input and output) and `money` (the charge if a catalog applies,
    else the cost). `by` says what has a count of its own, `only` to what the limit applies:
    ``Limit(per="day", tokens=100_000, by=("customer", "model"), only={"plan": "free"})``.
    """

    per: Per
    requests: int | None = None
    tokens: int | None = None
    money: Decimal | None = None
    by: tuple[Dimension, ...] = ("customer",)
    only: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        given = [x for x in (self.requests, self.tokens, self.money) if x is not None]
        if len(given) != 1 or not is_number(given[0]) or given[0] < 0:
            raise ConfigurationError(
                "a Limit needs one of requests, tokens and money, and that is at least 0"
            )
        if self.per != "month" and self.per not in _SECONDS:
            raise ConfigurationError(
                f"per={self.per!r} is unknown; use minute, hour, day or month"
            )
        if _is_text(self.by) or not _is_mapping(self.only):
            raise ConfigurationError(
                f"a Limit has by={self.by!r} and only={self.only!r}; use such as "
                "by=('customer', 'model'), only={'plan': 'free'}"
            )
        for name in (*self.by, *self.only):
            if name not in _DIMENSIONS:
                raise ConfigurationError(
                    f"a Limit cannot tell calls by {name!r}; use one of {', '.join(_DIMENSIONS)}"
                )

    @property
    def most(self) -> Decimal:
        """The bound, inclusive."""
        found = next(x for x in (self.requests, self.tokens, self.money) if x is not None)
        return Decimal(str(found))

    @property
    def unit(self) -> str:
        """What is counted."""
        if self.requests is not None:
            return "requests"
        return "tokens" if self.tokens is not None else "money"

    def key(self, ask: Ask) -> str | None:
        """Return what the call is counted under; None if the limit does not apply to it."""
        if not all(value in _names(ask, name) for name, value in self.only.items()):
            return None
        whose = "\x1f".join(_names(ask, name)[-1] or "" for name in self.by)
        only = ",".join(f"{k}={v}" for k, v in sorted(self.only.items()))
        return f"{self.unit}/{self.per}/{','.join(self.by)}/{only}/{whose}"

    def window(self, at: datetime) -> tuple[datetime, datetime]:
        """Return the window, half-open, that holds a moment."""
        if self.per == "month":
            start = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return start, (start + timedelta(days=32)).replace(day=1)
        width = timedelta(seconds=_SECONDS[self.per])
        start = at - (at - _EPOCH) % width
        return start, start + width

    def expected(self, ask: Ask) -> Decimal | None:
        """
        Return what a call may take: of money the most, of tokens what is expected.

        None if nobody knows.
        """
        if self.requests is not None:
            return Decimal(1)
        if ask.quote is None:
            return None
        if self.tokens is None:
            return None if ask.quote.high is None else ask.quote.high.amount
        known = all(map(is_measured, ask.quote.events))
        return sum((tokens_of(e.usage) for e in ask.quote.events), ZERO) if known else None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _limit(given: object) -> Limit:
    if not isinstance(given, Limit):
        raise ConfigurationError(
            f"limits holds {given!r}; give it such as Limit(per='minute', requests=60)"
        )
    return given


class LimitGate:
    """Refuses with 429 what one of the limits does not leave room for."""

    def __init__(
        self,
        limits: Sequence[Limit],
        counters: Counters,
        money_of: MoneyOf,
        terms: Enforcement = DEFAULT,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = tuple(map(_limit, _listed(limits)))
        self._counters = counters
        self._terms = terms
        self._clock = clock
        self._money_of = Priced(money_of, terms)
        self._ends = Ends()

    def admit(self, ask: Ask) -> Ticket:
        """Count the call in; what was counted is taken back if a later limit refuses it."""
        now = self._clock()
        taken = _Taken(self._counters, self._money_of, [])
        found = [(limit, key) for limit in self._limits if (key := limit.key(ask)) is not None]
        for (limit, key), (wanted, most) in zip(found, self._wanted(ask, found), strict=True):
            start, end = limit.window(now)
            try:
                fits = self._counters.add(key, start, wanted, most)
            except Exception:
                SETTLER.add(taken.take_back)  # not now: who counts is away
                raise
            if not fits:
                taken.take_back()
                left_s = max(1, int((end - now).total_seconds()) + 1)
                says = f"The limit of {limit.most} {limit.unit} per {limit.per} is reached."
                raise Refused(Refusal(429, says, left_s))
            taken.parts.append((limit.unit, key, start, wanted))
        return taken

    def _wanted(self, ask: Ask, found: Found) -> list[tuple[Decimal, Decimal]]:
        """
        Return what a call may take of each limit, and to what that may add up.

        Of how many tokens nobody knows, one has to be left; of what price, the terms say.
        """
        wanted: list[tuple[Decimal, Decimal]] = []
        for limit, _ in found:
            expected = limit.expected(ask)
            if expected is None and limit.tokens is not None:
                wanted.append((ZERO, limit.most - 1))
                continue
            if expected is None:
                expected = self._terms.without_price(ask.operation)
            if expected is None:
                undecided(self._terms, "There is no price for this call")
            wanted.append((expected or ZERO, limit.most))
        return wanted

    def job_ended(self, event: Event, job: str) -> None:
        """Replace what was expected of a job by what it used."""
        for reference in references(event, job):
            parts = list(self._counters.taken_back(reference))
            if parts:
                self._ends.begin(job, parts, event)
                put_right(self._counters, self._money_of, parts, [event])
                return
        more = [(unit, key, window, ZERO) for unit, key, window in self._ends.of(job, event)]
        put_right(self._counters, self._money_of, more, [event])


@dataclass(frozen=True, slots=True)
class _Taken:
    counters: Counters
    money_of: Priced
    parts: list[Part]

    def settle(self, events: Sequence[Event]) -> None:
        """Replace what was expected by what was used."""
        put_right(self.counters, self.money_of, self.parts, events)

    def take_back(self) -> None:
        """The call is not made."""
        self.settle(())

    def keep(self, job: str) -> None:
        """Remember what was expected of a job."""
        if self.parts:
            self.counters.keep(job, self.parts)


def _names(ask: Ask, dimension: str) -> tuple[str | None, ...]:
    """Return what something is called, the canonical name last: a model has many names."""
    said: str | None = getattr(ask, dimension)
    return (said,) if said is None or dimension != "model" else (said, model_type(said))


def _is_text(given: object) -> bool:
    return isinstance(given, str)


def _is_mapping(given: object) -> bool:
    return isinstance(given, Mapping)


def _listed(given: object) -> tuple[object, ...]:
    if not isinstance(given, Iterable):
        raise ConfigurationError(
            f"limits={given!r} is no list; use [Limit(per='minute', requests=60)]"
        )
    return tuple(given)
