"""What a batch of events adds to the cells, in memory and then in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from tokenmeter.engine.compiled import Compiled, Rule, Way, all_rules, compiled_of, labels_among
from tokenmeter.engine.rollups import Family, Plan
from tokenmeter.engine.spans import HOUR_US
from tokenmeter.engine.store.cells import Added, Place, add_cells
from tokenmeter.engine.store.events import Numbered
from tokenmeter.engine.store.folding import HOURS_PER_DAY, days_made
from tokenmeter.engine.store.merging import merged_states, states_text
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rollup_schema import WHOLE_MAX
from tokenmeter.engine.store.rows import Labels, Properties, moment
from tokenmeter.engine.tallies import ADDED, COUNTED, State, merge, state_of

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

Amounts = Sequence[tuple[int, ...]]


class _Seen(NamedTuple):
    """An event as a meter looks at it."""

    event_name: str
    event_id: str
    timestamp: datetime
    properties: Properties


class _Placed(NamedTuple):
    """What is added to cells, by place."""

    numbers: dict[Place, tuple[int, ...]]
    states: dict[Place, str]


class _Cells:
    """What one family counted of the same labels, by hour and customer."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.width = len(family.columns)
        self.numbers: dict[tuple[int, int], list[int]] = {}
        self.states: dict[tuple[int, int], dict[int, State]] = {}

    def put(self, key: tuple[int, int], rule: Rule, state: State) -> None:
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
    """
    What some events add, by cell.

    Nearly all go the way of their labels, many at once; what is not plain is looked at by itself.
    """

    def __init__(self, plan: Plan, numbered: Numbered) -> None:
        self._rows = numbered.rows
        self._customers = numbered.customer_ids
        self._hours = [timestamp_us // HOUR_US for timestamp_us in self._rows.timestamps_us]
        self._compiled = [compiled_of(plan, labels) for labels in self._rows.labels]
        self._cells: dict[tuple[int, Labels], _Cells] = {}
        self._ways: list[tuple[Way, list[int], Amounts]] = []
        for way, places in self._look().items():
            self._go(way, places)

    def keep(self, store: Store, connection: Connection) -> dict[Labels, int]:
        """Write it to the database; return the numbers of the combinations, to remember."""
        told = {c for c in self._compiled if c is not None and c.way is not None}
        labels = {c.labels for c in told} | {labels for _, labels in self._cells}
        numbers = store.combinations.numbers(connection, labels)
        until = days_made(connection, self._newest())
        combinations: dict[Compiled | None, int] = {c: numbers[c.labels] for c in told}
        for way, places, amounts in self._ways:
            hours = [self._hours[at] for at in places]
            customers = [self._customers[at] for at in places]
            chosen = [combinations[self._compiled[at]] for at in places]
            family = repeat(way.family.id, len(places))
            cells = list(zip(family, hours, customers, chosen))  # noqa: B905 - all as long
            added = _Placed(_added_up(cells, amounts), {})
            add_cells(connection, "hours", Added(way.counts, way.totals, *added))
            if min(hours) < until[way.family.id] * HOURS_PER_DAY:
                late = _late(added, until[way.family.id])
                add_cells(connection, "days", Added(way.counts, way.totals, *late))
        self._keep_cells(connection, numbers, until)
        return numbers

    def _newest(self) -> dict[int, int]:
        """Return the newest day of each family that counts something."""
        found: dict[int, int] = {}
        for way, places, _amounts in self._ways:
            day = max([self._hours[at] for at in places]) // HOURS_PER_DAY
            found[way.family.id] = max(day, found.get(way.family.id, 0))
        for (family, _labels), cells in self._cells.items():
            hours = [hour for hour, _customer in (*cells.numbers, *cells.states)]
            found[family] = max([hour // HOURS_PER_DAY for hour in hours] + [found.get(family, 0)])
        return found

    def _look(self) -> dict[Way, list[int]]:
        """Find the ways that events go; count those that go none."""
        found: defaultdict[Way | None, list[int]] = defaultdict(list)
        together = zip(self._compiled, self._rows.properties, strict=True)
        for at, (compiled, properties) in enumerate(together):
            if compiled is None:
                continue
            if properties.keys().isdisjoint(compiled.unsure):
                found[compiled.way].append(at)
                if compiled.others:
                    self._sample(at, compiled.family, compiled.labels, compiled.others)
            else:
                labels = labels_among(compiled.family.keys, properties)
                self._sample(at, compiled.family, labels, all_rules(compiled.family))
        return {way: places for way, places in found.items() if way is not None}

    def _go(self, way: Way, places: list[int]) -> None:
        properties = self._rows.properties
        amounts = way.amounts([properties[at] for at in places])
        if amounts is None:
            fine: list[int] = []
            for at in places:
                compiled = self._compiled[at]
                if way.amounts([properties[at]]) is not None:
                    fine.append(at)
                elif compiled is not None:
                    self._count(at, compiled)
            places, amounts = fine, way.amounts([properties[at] for at in fine]) or []
        if places:
            self._ways.append((way, places, amounts))

    def _count(self, at: int, compiled: Compiled) -> None:
        """Count an event of which some meter has to look closer, but the others need not."""
        cells = self._cells_of(compiled.family, compiled.labels)
        key = (self._hours[at], self._customers[at])
        odd: list[Rule] = []
        for rule in compiled.sure:
            value = self._rows.properties[at].get(rule.slot.meter.aggregation.field)
            if rule.form == COUNTED:
                cells.put(key, rule, [COUNTED, 1])
            elif type(value) is int and 0 <= value <= WHOLE_MAX:
                cells.put(key, rule, [ADDED, 1, value])
            else:
                odd.append(rule)
        if odd:
            self._sample(at, compiled.family, compiled.labels, odd)

    def _sample(self, at: int, family: Family, labels: Labels, rules: Iterable[Rule]) -> None:
        """Let meters look at an event, and add what they count."""
        cells, key = self._cells_of(family, labels), (self._hours[at], self._customers[at])
        row = self._rows.row(at)
        seen = _Seen(row.event_name, row.event_id, moment(row.timestamp_us), row.properties)
        for rule in rules:
            sample = rule.slot.meter.sample(seen)
            if sample is not None:
                cells.put(key, rule, state_of(rule.form, sample))

    def _cells_of(self, family: Family, labels: Labels) -> _Cells:
        place = (family.id, labels)
        if place not in self._cells:
            self._cells[place] = _Cells(family)
        return self._cells[place]

    def _keep_cells(
        self, connection: Connection, numbers: Mapping[Labels, int], until: Mapping[int, int]
    ) -> None:
        by_family: dict[int, list[tuple[int, _Cells]]] = {}
        for (family, labels), cells in self._cells.items():
            by_family.setdefault(family, []).append((numbers[labels], cells))
        for family, found in by_family.items():
            columns = found[0][1].family.columns
            hours = _by_hour(found)
            add_cells(connection, "hours", Added((), columns, *hours))
            add_cells(connection, "days", Added((), columns, *_late(hours, until[family])))


def _added_up(places: Sequence[Place], amounts: Amounts) -> dict[Place, tuple[int, ...]]:
    found = dict(zip(places, amounts, strict=True))
    if len(found) < len(places):  # some have one place
        found.clear()
        for place, amount in zip(places, amounts, strict=True):
            held = found.get(place)
            found[place] = amount if held is None else tuple(map(add, held, amount))
    return found


def _by_hour(found: Iterable[tuple[int, _Cells]]) -> _Placed:
    """Return what there is, by its place."""
    hours = _Placed({}, {})
    for number, cells in found:
        family = cells.family.id
        for (hour, customer), cell in cells.numbers.items():
            hours.numbers[family, hour, customer, number] = tuple(cell)
        for (hour, customer), states in cells.states.items():
            hours.states[family, hour, customer, number] = states_text(states)
    return hours


def _late(hours: _Placed, until: int) -> _Placed:
    """Return what came too late for cells of days to be made of it: it is added to both."""
    days = _Placed({}, {})
    first = until * HOURS_PER_DAY
    for (family, hour, customer, number), amounts in hours.numbers.items():
        if hour < first:
            day = (family, hour // HOURS_PER_DAY, customer, number)
            held = days.numbers.get(day)
            days.numbers[day] = amounts if held is None else tuple(map(add, held, amounts))
    for (family, hour, customer, number), told in hours.states.items():
        if hour < first:
            day = (family, hour // HOURS_PER_DAY, customer, number)
            days.states[day] = merged_states(days.states.get(day), told)
    return days
