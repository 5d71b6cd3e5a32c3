"""Rows of events whose shape was met before: the same names of properties, plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from tokenmeter.engine.store.rows import (
    COST,
    INTEGER_MAX,
    LABELS,
    LabelSet,
    Refusal,
    Row,
    check_text,
    is_sure_number,
    label_set,
    labels_among,
    microseconds,
)
from tokenmeter.event import Event
from tokenmeter.usage import METRICS

SHAPES_MAX = 1_000  # remembered
CHOICES_MAX = 10_000  # sets of labels remembered

_IDS = frozenset({"run_id", "call_id"})
_NUMBERS = METRICS | {COST}
_encode = msgspec.json.Encoder().encode
_PLAIN = frozenset({str, int})


_Pick = Callable[[dict[str, Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The names and types of an event's properties, sorted out."""

    labels: tuple[str, ...]
    pick_labels: _Pick
    own: tuple[str, ...]
    pick_ints: _Pick
    pick_numbers: _Pick  # texts that must write a number


@lru_cache(maxsize=SHAPES_MAX)
def _shape(names: tuple[str, ...], types: tuple[type, ...]) -> Shape | None:
    if not _PLAIN.issuperset(types) or not all(type(name) is str and name for name in names):
        return None
    typed = dict(zip(names, types, strict=True))
    labels = tuple(name for name in names if name in LABELS)
    own = tuple(name for name in names if name not in LABELS and name not in _IDS)
    return Shape(
        labels,
        _pick(labels),
        own,
        _pick([name for name in names if typed[name] is int]),
        _pick([name for name in own if typed[name] is str and name in _NUMBERS]),
    )


def _pick(names: Sequence[str]) -> _Pick:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda properties: tuple([properties[name] for name in names])


@lru_cache(maxsize=CHOICES_MAX)
def _labels(shape: Shape, place: tuple[str, str, str], values: Any) -> LabelSet | None:
    """Return the label set that `to_row` makes; None where a label is too long to be one."""
    environment, event_name, source = place
    told = dict(zip(shape.labels, values, strict=True))
    pairs = labels_among(told)
    named = all(name and not name.isspace() for name in (event_name, source))
    if len(pairs) < len(values) or not named:
        return None
    try:
        return label_set(environment, event_name.strip(), source, pairs)
    except (Refusal, UnicodeEncodeError):  # `to_row` says why
        return None


def quick_row(event: Event, environment: str = "") -> Row | None:
    """
    Return what `to_row` does, by what is known of the shape; None where it has to look closer.

    An event that nobody has checked may hold anything, whatever its types say.
    """
    properties: Any = event.properties
    if type(properties) is not dict:
        return None
    shape = _shape(tuple(properties), tuple(map(type, properties.values())))
    if shape is None or not _is_named(event.event_id) or not _is_named(event.external_customer_id):
        return None
    place: Any = (environment, event.event_name, event.source)
    if type(place[1]) is not str or type(place[2]) is not str:
        return None
    labels = _labels(shape, place, tuple(shape.pick_labels(properties)))
    try:
        rest = _rest(shape, properties)
    except UnicodeEncodeError:  # `to_row` says why
        return None
    timestamp_us = _instant(event.timestamp)
    if labels is None or rest is None or timestamp_us < 0:
        return None
    run_id, call_id = properties.get("run_id"), properties.get("call_id")
    row = Row(
        event.event_id,
        event.external_customer_id,
        timestamp_us,
        labels,
        None if run_id is None else str(run_id),
        None if call_id is None else str(call_id),
        rest,
        properties,
    )
    return row if _is_fine(row) else None


def _rest(shape: Shape, properties: dict[str, Any]) -> str | None:
    """Write what is no label; None if a number is none, or too large."""
    ints = shape.pick_ints(properties)
    if ints and not -INTEGER_MAX <= min(ints) <= max(ints) <= INTEGER_MAX:
        return None
    for text in shape.pick_numbers(properties):
        if not is_sure_number(text):
            return None
    return _encode({name: properties[name] for name in shape.own}).decode()


def _instant(timestamp: datetime) -> int:
    return -1 if timestamp.tzinfo is None else microseconds(timestamp)


def _is_named(name: object) -> bool:
    return type(name) is str and name != "" and not name.isspace()


def _is_fine(row: Row) -> bool:
    try:
        check_text(row)
    except (Refusal, UnicodeEncodeError):  # `to_row` says why
        return False
    return True
