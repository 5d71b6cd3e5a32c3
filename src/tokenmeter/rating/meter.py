"""What a meter is, and the one quantity it takes from an event."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.expression import Expression, ExpressionError
from tokenmeter.rating.filters import Filter, Properties, is_billable, matches, text
from tokenmeter.rating.rounding import ONE, ZERO, number, quantity, times
from tokenmeter.rating.windows import Window

EXPRESSIONS_MAX = 1_000  # parsed expressions kept


class AggregationType(StrEnum):
    """How a meter adds up its events."""

    COUNT = "COUNT"
    SUM = "SUM"
    AVG = "AVG"
    MAX = "MAX"
    LATEST = "LATEST"
    COUNT_UNIQUE = "COUNT_UNIQUE"
    SUM_WITH_MULTIPLIER = "SUM_WITH_MULTIPLIER"
    WEIGHTED_SUM = "WEIGHTED_SUM"

    @property
    def takes_expression(self) -> bool:
        """Tell whether an expression may stand in place of a field."""
        return self in {
            AggregationType.SUM,
            AggregationType.AVG,
            AggregationType.MAX,
            AggregationType.LATEST,
        }

    @property
    def takes_buckets(self) -> bool:
        """Tell whether a bucket size is allowed."""
        return self in {AggregationType.MAX, AggregationType.SUM}


class Reset(StrEnum):
    """When a meter starts again from zero; billing counts per period in both cases."""

    BILLING_PERIOD = "BILLING_PERIOD"
    NEVER = "NEVER"


_KIND_ALIASES = {"UNIQUE_COUNT": "COUNT_UNIQUE"}
_RESET_ALIASES = {"PERIODIC": "BILLING_PERIOD", "CUMULATIVE": "NEVER"}


def kind_of(name: str) -> AggregationType:
    """Read an aggregation type, in any case; UNIQUE_COUNT is COUNT_UNIQUE."""
    wanted = name.upper()
    try:
        return AggregationType(_KIND_ALIASES.get(wanted, wanted))
    except ValueError:
        raise RatingError(
            f"{name!r} is not an aggregation type; use one of {', '.join(AggregationType)}.",
            field="aggregation.type",
        ) from None


def reset_of(name: str) -> Reset:
    """Read a reset, in any case; Periodic is BILLING_PERIOD and Cumulative is NEVER."""
    wanted = name.upper()
    try:
        return Reset(_RESET_ALIASES.get(wanted, wanted))
    except ValueError:
        raise RatingError(
            f"{name!r} is not a reset; use BILLING_PERIOD or NEVER.", field="reset_usage"
        ) from None


@dataclass(frozen=True, slots=True)
class Aggregation:
    """
    How quantities are read from properties and added up.

    `aliases` are further names of the field, read in order when it is absent.
    """

    kind: AggregationType
    field: str = ""
    expression: str = ""
    multiplier: Decimal | None = None
    bucket_size: Window | None = None
    group_by: str = ""
    aliases: tuple[str, ...] = ()

    def value(self, properties: Properties) -> object:
        """Find the field's value, or the first alias's; None when there is none."""
        return next((properties[n] for n in (self.field, *self.aliases) if n in properties), None)

    def lacks_field(self, properties: Properties) -> bool:
        """Tell whether the field the aggregation needs is missing, or not a number it can use."""
        if not self.field or self.kind is AggregationType.COUNT:
            return False
        value = self.value(properties)
        if self.kind is AggregationType.COUNT_UNIQUE:
            return value is None
        known = number(value)
        return known is None or quantity(known) is None

    def quantity(self, properties: Properties) -> Decimal:
        """
        Read the quantity of one event.

        What is missing or not a number is 0, and so is what is negative. An expression without
        a finite value raises ExpressionError.
        """
        match self.kind:
            case AggregationType.COUNT:
                return ONE
            case AggregationType.COUNT_UNIQUE:
                return ZERO if self.value(properties) is None else ONE
            case AggregationType.SUM_WITH_MULTIPLIER:
                return self._metered(times(self._number(properties), self.multiplier or ZERO))
            case _ if self.expression:
                return self._metered(_expression(self.expression).evaluate(properties))
            case _:
                return self._metered(self._number(properties))

    def _number(self, properties: Properties) -> Decimal:
        known = number(self.value(properties))
        return ZERO if known is None else (quantity(known) or ZERO)

    @staticmethod
    def _metered(value: Decimal) -> Decimal:
        known = quantity(value)
        if known is None:
            raise ExpressionError("The quantity is larger than a meter can count.")
        return known


@lru_cache(maxsize=EXPRESSIONS_MAX)
def _expression(source: str) -> Expression:
    return Expression.of(source)


class MeterEvent(Protocol):
    """What a meter must see of an event; `tokenmeter.Event` is one."""

    @property
    def event_name(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def timestamp(self) -> datetime: ...
    @property
    def properties(self) -> Properties: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One event as one meter saw it."""

    event_id: str
    timestamp: datetime
    quantity: Decimal
    unique: str = ""  # hash of the counted value, for COUNT_UNIQUE
    group: str = ""  # value of the aggregation's group_by
    lacks_field: bool = False  # the event matched, but the meter's field was not there


@dataclass(frozen=True, slots=True)
class Meter:
    """A definition: which events count, and how. What is wrong with it raises RatingError."""

    name: str
    event_name: str
    aggregation: Aggregation
    filters: tuple[Filter, ...] = ()
    reset: Reset = Reset.BILLING_PERIOD
    include_unbilled: bool = False
    meter_id: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise RatingError("A meter needs a name.", field="name")
        if not self.event_name.strip():
            raise RatingError("A meter needs the name of its events.", field="event_name")
        check_aggregation(self.aggregation)

    def sample(self, event: MeterEvent) -> Sample | None:
        """Read one event; None when it is not this meter's or the expression has no value."""
        properties = event.properties
        if event.event_name.strip() != self.event_name.strip() or not self._counts(properties):
            return None
        rule = self.aggregation
        try:
            amount = rule.quantity(properties)
        except ExpressionError:
            return None
        return Sample(
            event.event_id,
            event.timestamp,
            amount,
            unique=self._unique(properties),
            group=text(properties.get(rule.group_by, "")) if rule.group_by else "",
            lacks_field=rule.lacks_field(properties),
        )

    def samples(self, events: Iterable[MeterEvent]) -> Iterator[Sample]:
        """Read the events that are this meter's, in their order."""
        for event in events:
            sample = self.sample(event)
            if sample is not None:
                yield sample

    def _counts(self, properties: Properties) -> bool:
        counted = self.include_unbilled or is_billable(properties)
        return counted and matches(self.filters, properties)

    def _unique(self, properties: Properties) -> str:
        value = self.aggregation.value(properties)
        if self.aggregation.kind is not AggregationType.COUNT_UNIQUE or value is None:
            return ""
        told = f"{self.event_name}:{self.aggregation.field}:{text(value)}"
        return hashlib.sha256(told.encode()).hexdigest()


def check_aggregation(rule: Aggregation) -> None:
    """Refuse an aggregation that Flexprice refuses, with a sentence that says why."""
    if rule.expression:
        _check_expression(rule)
    elif rule.kind is not AggregationType.COUNT and not rule.field:
        raise RatingError(f"A {rule.kind} meter needs a field.", field="aggregation.field")
    if rule.kind is AggregationType.SUM_WITH_MULTIPLIER and (rule.multiplier or ZERO) <= 0:
        raise RatingError(
            "A SUM_WITH_MULTIPLIER meter needs a multiplier above 0.",
            field="aggregation.multiplier",
        )
    _check_buckets(rule)


def _check_expression(rule: Aggregation) -> None:
    if not rule.kind.takes_expression:
        raise RatingError(
            f"A {rule.kind} meter takes no expression; SUM, AVG, MAX and LATEST do.",
            field="aggregation.expression",
        )
    if rule.field:
        raise RatingError(
            "A meter has a field or an expression, not both.", field="aggregation.expression"
        )
    _expression(rule.expression)


def _check_buckets(rule: Aggregation) -> None:
    if rule.bucket_size is not None and not rule.kind.takes_buckets:
        raise RatingError(
            f"A {rule.kind} meter takes no bucket size; MAX and SUM do.",
            field="aggregation.bucket_size",
        )
    if rule.group_by and (rule.kind is not AggregationType.MAX or rule.bucket_size is None):
        raise RatingError(
            "Only a MAX meter with a bucket size can be grouped.", field="aggregation.group_by"
        )
