"""
Adding up a meter's samples, one by one or hour by hour.

A state is a short list: which kind of state it is, the count, and what the kind needs. States
merge in any order; they must share no event.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tokenmeter.rating.aggregation import Tally
from tokenmeter.rating.meter import AggregationType, Sample
from tokenmeter.rating.rounding import EXACT, ZERO
from tokenmeter.rating.windows import Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Exact = int | Decimal  # ints as long as all are: they add many times faster
State = list[Any]  # what it holds depends on its first number

# The numbers stand in databases for ever.
COUNTED = 0  # count
ADDED = 1  # count, total
HIGHEST = 2  # count, highest
LATEST = 3  # count, microseconds, event id, quantity
WEIGHTED = 4  # count, total, sum of quantity x microseconds
UNIQUE = 5  # count, set of hashes; never kept: it grows with what is counted

# A cell has columns for these, see `store.rollup_schema`: what is not a small whole number goes
# to a state beside them, whose count is 0 where the columns hold it.
IN_COLUMNS = frozenset({COUNTED, ADDED})

_ONE_NUMBER = 3  # the length of a state that holds one

_FORMS = {
    AggregationType.COUNT: COUNTED,
    AggregationType.MAX: HIGHEST,
    AggregationType.LATEST: LATEST,
    AggregationType.WEIGHTED_SUM: WEIGHTED,
    AggregationType.COUNT_UNIQUE: UNIQUE,
}


def form_of(kind: AggregationType) -> int:
    """Return which kind of state an aggregation needs."""
    return _FORMS.get(kind, ADDED)


def state_of_columns(form: int, count: int, total: int) -> State:
    """Return the state that columns hold."""
    return [form, count] if form == COUNTED else [form, count, total]


def add(left: Exact, right: Exact) -> Exact:
    """Add exactly."""
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return EXACT.add(Decimal(left), Decimal(right))


def state_of(form: int, sample: Sample) -> State:
    """Return the state of one event."""
    amount = sample.quantity
    if form == COUNTED:
        return [form, 1]
    if form == UNIQUE:
        return [form, 1, {sample.unique} if sample.unique else set[str]()]
    if form == LATEST:
        return [form, 1, _microseconds(sample.timestamp), sample.event_id, amount]
    if form == WEIGHTED:
        at = Decimal(_microseconds(sample.timestamp))
        return [form, 1, amount, EXACT.multiply(amount, at)]
    return [form, 1, amount]


def merge(into: State, state: State) -> None:
    """Add a state of the same form to another."""
    form = into[0]
    into[1] += state[1]
    if form == ADDED:
        into[2] = add(into[2], state[2])
    elif form == HIGHEST:
        into[2] = max(into[2], state[2])
    elif form == LATEST:
        if (state[2], state[3]) > (into[2], into[3]):
            into[2:] = state[2:]
    elif form == WEIGHTED:
        into[2], into[3] = add(into[2], state[2]), add(into[3], state[3])
    elif form == UNIQUE:
        into[2] = into[2] | state[2]


def written(state: State) -> State:
    """Return a state as JSON values; decimals become text."""
    return [_text(value) if isinstance(value, Decimal) else value for value in state]


def read(state: State) -> State:
    """Return the state of `written(...)`."""
    if len(state) == _ONE_NUMBER and type(state[-1]) is int:
        return state  # nearly all are: nothing to read
    event_id = 3 if state[0] == LATEST else -1
    return [
        Decimal(value) if isinstance(value, str) and at != event_id else value
        for at, value in enumerate(state)
    ]


class Running:
    """The samples of one meter so far."""

    __slots__ = ("form", "kind", "state")

    def __init__(self, kind: AggregationType) -> None:
        self.kind = kind
        self.form = form_of(kind)
        self.state: State | None = None

    @property
    def count(self) -> int:
        """How many events there were."""
        return 0 if self.state is None else self.state[1]

    def add(self, sample: Sample) -> None:
        """Take one more event, which must not have been taken before."""
        self.merge(state_of(self.form, sample))

    def merge(self, state: State) -> None:
        """Take the samples of another stretch of time."""
        if self.state is None:
            self.state = list(state)
        else:
            merge(self.state, state)

    def value(self, period: Period) -> Decimal:
        """Read the aggregation off, over the period it was gathered in."""
        return _tally(self.state).value(self.kind, period)


def _tally(state: State | None) -> Tally:
    if state is None:
        return Tally()
    form, count, *held = state
    if form == LATEST:
        at, event_id, amount = held
        return Tally(count, latest=(_EPOCH + at * _MICROSECOND, event_id, Decimal(amount)))
    if form == UNIQUE:
        return Tally(count, uniques=frozenset(held[0]))
    level = Decimal(held[0]) if held else ZERO
    if form == HIGHEST:
        return Tally(count, highest=level)
    moment = Decimal(held[1]).scaleb(-6, EXACT) if form == WEIGHTED else ZERO
    return Tally(count, level, moment)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _text(amount: Decimal) -> int | str:
    whole = int(amount)
    return whole if whole == amount else str(amount)
