"""What a batch of events adds to the cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from tokenmeter.engine.rollups import Family, Plan, Slot, current_plan, names_of, only
from tokenmeter.engine.spans import HOUR_US
from tokenmeter.engine.store import rollups as stored
from tokenmeter.engine.store.cells import Added, Place, add_cells, columns_of
from tokenmeter.engine.store.events import Numbered, numbered_between
from tokenmeter.engine.store.merging import merged_states, states_text
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rollup_schema import WHOLE_MAX
from tokenmeter.engine.store.rows import LABEL_CHARS_MAX, LABELS, Labels, Properties, Row, moment
from tokenmeter.engine.tallies import ADDED, COUNTED, State, form_of, merge, state_of
from tokenmeter.rating.filters import is_billable, matches
from tokenmeter.rating.meter import AggregationType

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

HOURS_PER_DAY = 24
BACKFILL_EVENTS_MAX = 1_000  # counted afterwards, per ingest and per transaction
COMPILED_MAX = 10_000  # label sets for which it is remembered what they count in
_PLAIN = frozenset({AggregationType.SUM, AggregationType.AVG})


class _Seen(NamedTuple):
    """An event as a meter looks at it."""

    event_name: str
    event_id: str
    timestamp: datetime
    properties: Properties


class _Placed(NamedTuple):
    """What is added to cells, by place."""

    numbers: dict[Place, list[int]]
    states: dict[Place, str]


class _Rule(NamedTuple):
    """How one slot counts the events of one label set."""

    slot: Slot
    form: int
    at: int  # of its count among the numbers of a cell; its total is the next; -1: in states
    field: str = ""  # a property whose whole number is the quantity; "" looks closer


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    """What the events of one label set count in."""

    family: Family
    labels: Labels  # of the family's keys
    unsure: frozenset[str]  # an event that has one of these properties is looked at by itself
    each: tuple[int, ...]  # where each event is counted, whatever its properties
    added: tuple[_Rule, ...]  # which add up a field in columns
    others: tuple[_Rule, ...]  # which look closer


class _Cells:
    """What one family counted of the same labels, by hour and customer."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.width = len(family.columns)
        self.numbers: dict[tuple[int, int], list[int]] = {}
        self.states: dict[tuple[int, int], dict[int, State]] = {}

    def put(self, key: tuple[int, int], rule: _Rule, state: State) -> None:
        """Add a state: to the columns what they can hold."""
        if rule.at >= 0:
            cell = self.numbers.get(key) or self.numbers.setdefault(key, [0] * self.width)
            cell[rule.at] += state[1]
            amount = state[2] if state[0] == ADDED else 0
            if amount <= WHOLE_MAX and amount == int(amount):
                cell[rule.at + 1] += int(amount)
                return
            state = [ADDED, 0, amount]
        held = self.states.setdefault(key, {})
        name = rule.slot.counted.id
        if name in held:
            merge(held[name], state)
        else:
            held[name] = state


class Gathered:
    """What the events so far add, by cell."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cells: dict[tuple[int, Labels], _Cells] = {}
        self._of: dict[_Compiled, _Cells] = {}

    def take(self, rows: Iterable[Numbered]) -> None:
        """Count events that were not counted before."""
        for row, _environment_id, _labels_id, customer_id in rows:
            compiled = self._compiled(row)
            if compiled is None:
                continue
            key = (row.timestamp_us // HOUR_US, customer_id)
            if row.properties.keys().isdisjoint(compiled.unsure):
                self._count(row, key, compiled)
            else:
                self._look(row, key, compiled.family)

    def keep(self, store: Store, connection: Connection) -> dict[Labels, int]:
        """Write it to the database; return the numbers of the combinations, to remember."""
        numbers = store.combinations.numbers(connection, {labels for _, labels in self._cells})
        by_family: dict[int, list[tuple[int, _Cells]]] = {}
        for (family, labels), cells in self._cells.items():
            by_family.setdefault(family, []).append((numbers[labels], cells))
        for found in by_family.values():
            columns = found[0][1].family.columns
            hours, days = _by_place(found)
            add_cells(connection, "hours", Added(columns, *hours))
            add_cells(connection, "days", Added(columns, *days))
        return numbers

    def _compiled(self, row: Row) -> _Compiled | None:
        known = self._plan.compiled
        if row.labels not in known:
            if len(known) >= COMPILED_MAX:
                known.clear()
            known[row.labels] = _compile(self._plan, row)
        found: _Compiled | None = known[row.labels]
        return found

    def _count(self, row: Row, key: tuple[int, int], compiled: _Compiled) -> None:
        cells = self._of.get(compiled)
        if cells is None:
            cells = self._of[compiled] = self._place(compiled.family, compiled.labels)
        if compiled.each or compiled.added:
            cell = cells.numbers.get(key)
            if cell is None:
                cell = cells.numbers[key] = [0] * cells.width
            for at in compiled.each:
                cell[at] += 1
            for rule in compiled.added:
                value = row.properties.get(rule.field)
                if type(value) is int and 0 <= value <= WHOLE_MAX:
                    cell[rule.at] += 1
                    cell[rule.at + 1] += value
                else:
                    _sample(row, key, rule, cells)
        for rule in compiled.others:
            _sample(row, key, rule, cells)

    def _look(self, row: Row, key: tuple[int, int], family: Family) -> None:
        """Count an event whose labels alone do not say what it counts in."""
        cells = self._place(family, _labels(family.keys, row.properties))
        for rule in _all_rules(family):
            _sample(row, key, rule, cells)

    def _place(self, family: Family, labels: Labels) -> _Cells:
        place = (family.id, labels)
        if place not in self._cells:
            self._cells[place] = _Cells(family)
        return self._cells[place]


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
        gathered = Gathered(only(plan, {slot.id for slot in chosen}))
        gathered.take(rows)
        gathered.keep(store, connection)
        stored.reach(connection, [slot.id for slot in chosen], until)
    return until - done


def _by_place(found: Iterable[tuple[int, _Cells]]) -> tuple[_Placed, _Placed]:
    """Return what there is by hour and by day."""
    hours, days = _Placed({}, {}), _Placed({}, {})
    for number, cells in found:
        family = cells.family.id
        for (hour, customer), cell in cells.numbers.items():
            hours.numbers[family, hour, customer, number] = cell
            day = (family, hour // HOURS_PER_DAY, customer, number)
            held = days.numbers.get(day)
            days.numbers[day] = cell if held is None else list(map(add, held, cell))
        for (hour, customer), states in cells.states.items():
            told = states_text(states)
            hours.states[family, hour, customer, number] = told
            day = (family, hour // HOURS_PER_DAY, customer, number)
            days.states[day] = merged_states(days.states.get(day), told)
    return hours, days


def _compile(plan: Plan, row: Row) -> _Compiled | None:
    family = plan.families.get((row.environment, row.event_name))
    if family is None:
        return None
    labels = dict(row.labels.pairs)
    looked_at = set(family.keys) | {"billable"}
    sure: list[_Rule] = []
    others: list[_Rule] = []
    for rule in _all_rules(family):
        filters = rule.slot.meter.filters
        names = names_of(f.key for f in filters)
        looked_at |= names
        if not (names <= LABELS and all(_is_short(f.values) for f in filters)):
            others.append(rule)
        elif matches(filters, labels) and _counts(rule.slot, labels):
            kind = sure if _is_quick(rule) else others
            kind.append(rule._replace(field=rule.slot.meter.aggregation.field))
    return _Compiled(
        family,
        _labels(family.keys, labels),
        frozenset(looked_at - labels.keys()),
        tuple(rule.at for rule in sure if rule.form == COUNTED),
        tuple(rule for rule in sure if rule.form == ADDED),
        tuple(others),
    )


def _all_rules(family: Family) -> Iterator[_Rule]:
    """Give the rules that look closely at each event."""
    for slot in family.slots:
        place = slot.counted.place
        at = -1 if place is None else family.columns.index(columns_of(place)[0])
        yield _Rule(slot, form_of(slot.meter.aggregation.kind), at)


def _is_quick(rule: _Rule) -> bool:
    """Tell whether an event that counts adds its number to the columns as it stands."""
    how = rule.slot.meter.aggregation
    return rule.at >= 0 and (rule.form == COUNTED or (how.kind in _PLAIN and bool(how.field)))


def _counts(slot: Slot, labels: Properties) -> bool:
    return slot.meter.include_unbilled or is_billable(labels)


def _is_short(values: Sequence[str]) -> bool:
    return all(len(value) <= LABEL_CHARS_MAX for value in values)


def _labels(keys: Sequence[str], properties: Properties) -> Labels:
    return tuple((name, properties[name]) for name in keys if name in properties)


def _sample(row: Row, key: tuple[int, int], rule: _Rule, cells: _Cells) -> None:
    """Let a meter look at an event, and add what it counts."""
    seen = _Seen(row.event_name, row.event_id, moment(row.timestamp_us), row.properties)
    sample = rule.slot.meter.sample(seen)
    if sample is not None:
        cells.put(key, rule, state_of(rule.form, sample))
