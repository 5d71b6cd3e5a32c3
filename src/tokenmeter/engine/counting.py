"""What a batch of events adds to the cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from tokenmeter.engine.rollups import Family, Plan, Slot, current_plan, names_of
from tokenmeter.engine.spans import HOUR_US
from tokenmeter.engine.store import rollups as stored
from tokenmeter.engine.store.events import Numbered, numbered_between
from tokenmeter.engine.store.merging import merged_states, states_text
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rollups import Place
from tokenmeter.engine.store.rows import LABEL_CHARS_MAX, LABELS, Labels, Properties, Row, moment
from tokenmeter.engine.tallies import COUNTED, State, form_of, merge, state_of
from tokenmeter.rating.filters import is_billable, matches
from tokenmeter.rating.meter import AggregationType

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

HOURS_PER_DAY = 24
BACKFILL_EVENTS_MAX = 1_000  # counted afterwards, per ingest and per transaction
COMPILED_MAX = 10_000  # label sets for which it is remembered what they count in
_PLAIN = frozenset({AggregationType.SUM, AggregationType.AVG, AggregationType.MAX})
_FAST_MAX = 10**18  # a whole number up to this is a quantity as it stands


class _Seen(NamedTuple):
    """An event as a meter looks at it."""

    event_name: str
    event_id: str
    timestamp: datetime
    properties: Properties


class _Rule(NamedTuple):
    """How one slot counts the events of one label set."""

    slot: Slot
    form: int
    is_sure: bool = False  # the labels say that it counts; else each event is looked at
    field: str = ""  # a property whose whole number is the quantity; "" looks closer


class _Compiled(NamedTuple):
    """What the events of one label set count in."""

    family: Family
    rules: tuple[_Rule, ...]
    labels: Labels  # of the family's keys
    unsure: frozenset[str]  # an event that has one of these properties is looked at by itself


class Gathered:
    """What the events so far add, by cell."""

    def __init__(self, plan: Plan, slots: frozenset[int] | None = None) -> None:
        self._plan = plan
        self._slots = slots  # None: all that there are
        self._cells: dict[tuple[int, int, int, Labels], dict[int, State]] = {}

    def take(self, rows: Iterable[Numbered]) -> None:
        """Count events that were not counted before."""
        for numbered in rows:
            compiled = self._compiled(numbered.row)
            if compiled is not None:
                self._count(numbered, compiled)

    def keep(self, store: Store, connection: Connection) -> dict[Labels, int]:
        """Write it to the database; return the numbers of the combinations, to remember."""
        numbers = store.combinations.numbers(connection, {key[3] for key in self._cells})
        hours: dict[Place, str] = {}
        days: dict[Place, str] = {}
        for (family, customer, hour, labels), states in self._cells.items():
            number = numbers[labels]
            told = states_text(states)
            hours[family, customer, hour, number] = told
            day = (family, customer, hour // HOURS_PER_DAY, number)
            days[day] = merged_states(days[day], told) if day in days else told
        if hours:
            stored.add_cells(connection, "hours", hours)
            stored.add_cells(connection, "days", days)
        return numbers

    def _compiled(self, row: Row) -> _Compiled | None:
        known = self._plan.compiled
        if row.labels not in known:
            if len(known) >= COMPILED_MAX:
                known.clear()
            known[row.labels] = _compile(self._plan, row)
        found: _Compiled | None = known[row.labels]
        return found

    def _count(self, numbered: Numbered, compiled: _Compiled) -> None:
        row = numbered.row
        rules, labels = compiled.rules, compiled.labels
        if not compiled.unsure.isdisjoint(row.properties):
            rules = _all_rules(compiled.family)
            labels = _labels(compiled.family.keys, row.properties)
        if self._slots is not None:
            rules = tuple(rule for rule in rules if rule.slot.counted.id in self._slots)
        hour = row.timestamp_us // HOUR_US
        cell: dict[int, State] | None = None
        for rule in rules:
            state = _state(rule, row)
            if state is None:
                continue
            if cell is None:
                key = (compiled.family.id, numbered.customer_id, hour, labels)
                cell = self._cells.setdefault(key, {})
            name = rule.slot.counted.id
            if name in cell:
                merge(cell[name], state)
            else:
                cell[name] = state


def count_new(
    store: Store, connection: Connection, plan: Plan, rows: Sequence[Numbered]
) -> dict[Labels, int]:
    """Count new events in the transaction that stores them; return what to remember of it."""
    gathered = Gathered(plan)
    gathered.take(rows)
    return gathered.keep(store, connection)


def backfill(store: Store, events_max: int = BACKFILL_EVENTS_MAX) -> int:
    """
    Count some of the events that came before the meters that count them; return how many.

    0 when there are none left. Until then such meters are answered from the events themselves.
    """
    with store.ingesting() as connection:
        plan = current_plan(store, connection)
        behind = [
            slot.counted
            for family in plan.families.values()
            for slot in family.slots
            if not slot.counted.is_complete
        ]
        if not behind:
            return 0
        done = min(slot.done_until for slot in behind)
        chosen = [slot for slot in behind if slot.done_until == done]
        until = min([done + events_max, *(s.live_after for s in chosen)])
        until = min([until, *(s.done_until for s in behind if s.done_until > done)])
        rows = numbered_between(connection, done, until)
        gathered = Gathered(plan, frozenset(slot.id for slot in chosen))
        gathered.take(rows)
        gathered.keep(store, connection)
        stored.reach(connection, [slot.id for slot in chosen], until)
    return until - done


def _compile(plan: Plan, row: Row) -> _Compiled | None:
    family = plan.families.get((row.environment, row.event_name))
    if family is None:
        return None
    labels = dict(row.labels.pairs)
    looked_at = set(family.keys) | {"billable"}
    rules: list[_Rule] = []
    for rule in _all_rules(family):
        filters = rule.slot.meter.filters
        names = names_of(f.key for f in filters)
        looked_at |= names
        if not (names <= LABELS and all(_is_short(f.values) for f in filters)):
            rules.append(rule)
        elif matches(filters, labels) and _counts(rule.slot, labels):
            rules.append(rule._replace(is_sure=True, field=_field(rule.slot)))
    own = _labels(family.keys, labels)
    return _Compiled(family, tuple(rules), own, frozenset(looked_at - labels.keys()))


def _all_rules(family: Family) -> tuple[_Rule, ...]:
    """Give the rules that look closely at each event."""
    return tuple(_Rule(s, form_of(s.meter.aggregation.kind)) for s in family.slots)


def _field(slot: Slot) -> str:
    rule = slot.meter.aggregation
    return rule.field if rule.kind in _PLAIN else ""


def _counts(slot: Slot, labels: Properties) -> bool:
    return slot.meter.include_unbilled or is_billable(labels)


def _is_short(values: Sequence[str]) -> bool:
    return all(len(value) <= LABEL_CHARS_MAX for value in values)


def _labels(keys: Sequence[str], properties: Properties) -> Labels:
    return tuple((name, properties[name]) for name in keys if name in properties)


def _state(rule: _Rule, row: Row) -> State | None:
    if rule.is_sure and rule.form == COUNTED:
        return [COUNTED, 1]
    if rule.field:
        value = row.properties.get(rule.field)
        if type(value) is int and 0 <= value <= _FAST_MAX:
            return [rule.form, 1, value]
    seen = _Seen(row.event_name, row.event_id, moment(row.timestamp_us), row.properties)
    sample = rule.slot.meter.sample(seen)
    return None if sample is None else state_of(rule.form, sample)
