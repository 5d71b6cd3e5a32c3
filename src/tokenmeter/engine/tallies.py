"""Adding up a meter's samples, one by one or hour by hour, to one tally."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tokenmeter.rating.aggregation import Tally
from tokenmeter.rating.meter import AggregationType, Sample
from tokenmeter.rating.rounding import EXACT, ZERO
from tokenmeter.rating.windows import Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Exact = int | Decimal  # ints as long as all are: they add many times faster
State = Sequence[int | str]  # what is kept of a Running: a count, and what the kind needs


def add(left: Exact, right: Exact) -> Exact:
    """Add exactly."""
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return EXACT.add(Decimal(left), Decimal(right))


class Running:
    """
    The samples of one meter so far. It holds what the kind of aggregation needs and no more.

    `state` and `merge` take it to the database and back; both hold the same as the samples.
    """

    __slots__ = ("count", "kind", "latest", "level", "moment", "uniques")

    def __init__(self, kind: AggregationType) -> None:
        self.kind = kind
        self.count = 0
        self.level: Exact = 0  # the total, or of MAX the highest
        self.moment: Exact = 0
        self.latest: tuple[int, str, Exact] | None = None  # microseconds, event id, quantity
        self.uniques: set[str] = set()

    def add(self, sample: Sample) -> None:
        """Take one more event, which must not have been taken before."""
        self.count += 1
        amount = sample.quantity
        match self.kind:
            case AggregationType.COUNT:
                pass
            case AggregationType.COUNT_UNIQUE:
                self.uniques |= {sample.unique} if sample.unique else set()
            case AggregationType.LATEST:
                self._later((_microseconds(sample.timestamp), sample.event_id, amount))
            case _:
                self._level(amount)
                if self.kind is AggregationType.WEIGHTED_SUM:
                    at = Decimal(_microseconds(sample.timestamp))
                    self.moment = add(self.moment, EXACT.multiply(amount, at))

    def merge(self, state: State) -> None:
        """Take the samples of another stretch of time, which must share no event."""
        self.count += int(state[0])
        match self.kind:
            case AggregationType.COUNT:
                pass
            case AggregationType.LATEST:
                self._later((int(state[1]), str(state[2]), _exact(state[3])))
            case _:
                self._level(_exact(state[1]))
                if self.kind is AggregationType.WEIGHTED_SUM:
                    self.moment = add(self.moment, _exact(state[2]))

    def state(self) -> list[int | str]:
        """Return what `merge` takes."""
        match self.kind:
            case AggregationType.COUNT:
                return [self.count]
            case AggregationType.LATEST:
                at, event_id, amount = self.latest or (0, "", 0)
                return [self.count, at, event_id, _written(amount)]
            case AggregationType.WEIGHTED_SUM:
                return [self.count, _written(self.level), _written(self.moment)]
            case _:
                return [self.count, _written(self.level)]

    def value(self, period: Period) -> Decimal:
        """Read the aggregation off, over the period it was gathered in."""
        return self._tally().value(self.kind, period)

    def _level(self, amount: Exact) -> None:
        is_max = self.kind is AggregationType.MAX
        self.level = max(self.level, amount) if is_max else add(self.level, amount)

    def _later(self, here: tuple[int, str, Exact]) -> None:
        self.latest = here if self.latest is None else max(self.latest, here)

    def _tally(self) -> Tally:
        level = Decimal(self.level)
        is_max = self.kind is AggregationType.MAX
        last = self.latest
        return Tally(
            self.count,
            ZERO if is_max else level,
            Decimal(self.moment).scaleb(-6, EXACT),
            level if is_max else ZERO,
            None if last is None else (_EPOCH + last[0] * _MICROSECOND, last[1], Decimal(last[2])),
            frozenset(self.uniques),
        )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _exact(written: int | str) -> Exact:
    return written if isinstance(written, int) else Decimal(written)


def _written(amount: Exact) -> int | str:
    if isinstance(amount, int):
        return amount
    whole = int(amount)
    return whole if whole == amount else str(amount)
