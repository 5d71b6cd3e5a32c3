"""
Events taken apart, many at a time.

Events of one shape, the same names of properties and plain values of the same types, are alike
in nearly all that `to_row` looks at: it is looked at once, and what is left of each event goes
column by column. What is not plain takes `to_row`, which also says why an event is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any

from tokenmeter.engine.store.columns import Rows
from tokenmeter.engine.store.rows import (
    COST,
    END_US,
    EVENT_BYTES_MAX,
    INTEGER_MAX,
    LABELS,
    NAME_CHARS_MAX,
    LabelSet,
    Refusal,
    Row,
    label_set,
    labels_among,
    microseconds,
    sure_number,
    to_row,
)
from tokenmeter.event import Event
from tokenmeter.usage import METRICS

SHAPES_MAX = 1_000  # remembered
CHOICES_MAX = 10_000  # sets of labels remembered of each shape
ALONE_MAX = 3  # events of one shape among a batch, which are not worth to know it
FEW = 16  # events that are looked at together where an odd one is among many

_IDS = frozenset({"run_id", "call_id"})
_NUMBERS = METRICS | {COST}
_PLAIN = frozenset({str, int})
_ONLY_TEXT = {str}
_BYTES_A_CHARACTER_MAX = 4

_Pick = Callable[[dict[str, Any]], tuple[Any, ...]]
_Kind = tuple[tuple[str, ...], tuple[type, ...]]  # names of properties, and types
_NO_DICT: _Kind = ((), (object,))  # whatever else holds properties
_Place = tuple[str, str, str, tuple[Any, ...]]  # environment, event name, source, and values


class _Choices(dict[_Place, LabelSet | None]):
    """The label sets that `to_row` makes of a shape; None where a label is too long to be one."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, place: _Place) -> LabelSet | None:
        if len(self) >= CHOICES_MAX:
            self.clear()
        self[place] = made = self._made(*place)
        return made

    def _made(self, environment: str, name: str, source: str, values: Any) -> LabelSet | None:
        pairs = labels_among(dict(zip(self._names, values, strict=True)))
        if len(pairs) < len(values) or not _are_names((name, source)):
            return None
        if len(name) > NAME_CHARS_MAX:
            return None
        try:
            return label_set(environment, name.strip(), source, pairs)
        except (Refusal, UnicodeEncodeError):  # `to_row` says why
            return None


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The names and types of an event's properties, sorted out."""

    names: frozenset[str]
    choices: _Choices
    pick_labels: _Pick
    pick_own: _Pick  # what is written as JSON
    form: str  # of the JSON, all of it but the values
    ints: tuple[str, ...]
    numbers: tuple[str, ...]  # texts that must write a number
    texts: tuple[str, ...]  # that may hold anything, and stand in the JSON
    are_texts: tuple[bool, ...]  # of those that `pick_own` picks


@lru_cache(maxsize=SHAPES_MAX)
def _shape(names: tuple[str, ...], types: tuple[type, ...]) -> Shape | None:
    if not _PLAIN.issuperset(types) or not _are_plain(names):
        return None
    whole = {name for name, kind in zip(names, types, strict=True) if kind is int}
    labels = _among(names, LABELS)
    own = _without(names, LABELS | _IDS)
    written = _without(own, whole)  # as text
    texts = _without(written, _NUMBERS)
    return Shape(
        frozenset(names),
        _Choices(labels),
        _pick(labels),
        _pick(own),
        # A text that must write a number needs no escapes; the others bring their quotes.
        _form(own, quoted=_among(written, _NUMBERS)),
        _among(names, whole),
        _among(written, _NUMBERS),
        texts,
        tuple([name in texts for name in own]),
    )


def _are_plain(names: Sequence[object]) -> bool:
    return all(type(name) is str and name and _is_storable(name) for name in names)


def _among(names: Sequence[str], chosen: Set[str]) -> tuple[str, ...]:
    return tuple([name for name in names if name in chosen])


def _without(names: Sequence[str], others: Set[str]) -> tuple[str, ...]:
    return tuple([name for name in names if name not in others])


def _form(names: Sequence[str], quoted: Sequence[str]) -> str:
    """Write a JSON object with a sign in the place of each value, some within quotes."""
    signs = [(name, '"%s"' if name in quoted else "%s") for name in names]
    return "{" + ",".join([f"{_escaped(name)}:{sign}" for name, sign in signs]) + "}"


def _pick(names: Sequence[str]) -> _Pick:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda properties: tuple([properties[name] for name in names])


def _escaped(name: str) -> str:
    return encode_basestring(name).replace("%", "%%")


def to_rows(
    events: Sequence[Event], environment: str = ""
) -> tuple[Rows, list[tuple[Event, Refusal]]]:
    """
    Return what `to_row` makes of the events, in their order, and those it refuses.

    An event that nobody has checked may hold anything, whatever its types say.
    """
    alike: defaultdict[_Kind, list[int]] = defaultdict(list)
    for at, event in enumerate(events):
        given: Any = event.properties
        if type(given) is dict:
            alike[tuple(given), tuple(map(type, given.values()))].append(at)
        else:
            alike[_NO_DICT].append(at)
    taking = _Taking(events, environment)
    for kind, places in alike.items():
        taking.take(_shape(*kind) if len(places) > ALONE_MAX else None, places)
    return taking.rows(), [(events[at], said) for at, said in sorted(taking.refused)]


class _Taking:
    """The rows of a batch so far, and where their events stand in it."""

    def __init__(self, events: Sequence[Event], environment: str) -> None:
        self._events = events
        self._environment = environment
        self._parts: list[Rows] = []
        self._order: list[int] = []
        self.refused: list[tuple[int, Refusal]] = []

    def take(self, shape: Shape | None, places: Sequence[int]) -> None:
        """Take the events at some places, of one shape; the odd ones take the long way."""
        rows = None
        if shape is not None:
            rows = _rows(shape, [self._events[at] for at in places], self._environment)
        if rows is not None:
            self._parts.append(rows)
            self._order += places
        elif shape is None or len(places) <= FEW:
            self._take_each(places)
        else:
            for first in range(0, len(places), FEW):
                self.take(shape, places[first : first + FEW])

    def rows(self) -> Rows:
        """Return the rows in the order of their events."""
        rows, order = Rows.together(self._parts), self._order
        if len(self._parts) == 1:
            return rows
        return rows.taken(sorted(range(len(order)), key=order.__getitem__))

    def _take_each(self, places: Sequence[int]) -> None:
        rows: list[Row] = []
        for at in places:
            try:
                rows.append(to_row(self._events[at], self._environment))
            except Refusal as refusal:
                self.refused.append((at, refusal))
            else:
                self._order.append(at)
        self._parts.append(Rows.of(rows))


def _rows(shape: Shape, events: Sequence[Event], environment: str) -> Rows | None:
    """Return the rows of events of one shape; None where `to_row` has to look at one of them."""
    properties: list[Any] = [event.properties for event in events]
    ids, customers = [e.event_id for e in events], [e.external_customer_id for e in events]
    named, sources = [e.event_name for e in events], [e.source for e in events]
    if not (_are_names(ids) and _are_names(customers) and _are_texts([*named, *sources])):
        return None
    moments = _moments(events)
    if not moments or not _are_numbers(shape, properties):
        return None
    places = zip(
        repeat(environment), named, sources, map(shape.pick_labels, properties), strict=False
    )
    labels: list[Any] = list(map(shape.choices.__getitem__, places))
    if None in labels:
        return None
    runs, calls = _ids("run_id", shape, properties), _ids("call_id", shape, properties)
    rows = Rows(ids, customers, moments, labels, runs, calls, _json(shape, properties), properties)
    texts = chain(ids, customers, *(i for i in (runs, calls) if None not in i))
    own = "".join(chain(texts, _flat(shape.texts, properties)))
    return rows if _is_storable(own) and _is_small(rows) else None


def _moments(events: Sequence[Event]) -> list[int] | None:
    try:
        found = [microseconds(event.timestamp) for event in events]
    except TypeError:  # one has no time zone
        return None
    return found if min(found) >= 0 and max(found) < END_US else None


def _are_numbers(shape: Shape, properties: Sequence[dict[str, Any]]) -> bool:
    """Tell whether the numbers are some, and not too large."""
    ints = _flat(shape.ints, properties)
    if ints and not -INTEGER_MAX <= min(ints) <= max(ints) <= INTEGER_MAX:
        return False
    return all(map(sure_number, _flat(shape.numbers, properties)))


def _flat(names: Sequence[str], properties: Sequence[dict[str, Any]]) -> list[Any]:
    return [given[name] for name in names for given in properties]


def _json(shape: Shape, properties: Sequence[dict[str, Any]]) -> list[str]:
    """Write what is no label."""
    own: Iterable[tuple[Any, ...]] = map(shape.pick_own, properties)
    if shape.texts:
        columns = zip(*own, strict=True)
        told = zip(columns, shape.are_texts, strict=True)
        own = zip(*[map(encode_basestring, c) if text else c for c, text in told], strict=True)
    return list(map(shape.form.__mod__, own))


def _ids(name: str, shape: Shape, properties: Sequence[dict[str, Any]]) -> list[Any]:
    if name not in shape.names:
        return [None] * len(properties)
    return [str(given[name]) for given in properties]


def _are_texts(values: Iterable[object]) -> bool:
    return {*map(type, values)} == _ONLY_TEXT


def _are_names(values: Sequence[str]) -> bool:
    return _are_texts(values) and "" not in values and not any(map(str.isspace, values))


def _is_storable(text: str) -> bool:
    """Tell whether a text holds no NUL, and nothing that is no Unicode."""
    try:
        return "\x00" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


def _is_small(rows: Rows) -> bool:
    """Tell of most that no event is too large, whichever has the longest of each column."""
    columns: list[Any] = [rows.event_ids, rows.customers, rows.rests]
    columns += [column for column in (rows.run_ids, rows.call_ids) if None not in column]
    longest = [max(map(len, column)) for column in columns]
    size = max(labels.size for labels in rows.labels)
    size += _BYTES_A_CHARACTER_MAX * (sum(longest) + len("NoneNone"))
    return size <= EVENT_BYTES_MAX and max(longest[:2]) <= NAME_CHARS_MAX
