"""What the events of one label set count in: found out once, for all that come."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from tokenmeter.engine.rollups import Family, Plan, Slot, names_of
from tokenmeter.engine.store.cells import columns_of
from tokenmeter.engine.store.rows import LABEL_CHARS_MAX, LABELS, Labels, LabelSet, Properties
from tokenmeter.engine.tallies import ADDED, COUNTED, form_of
from tokenmeter.rating.filters import is_billable, matches
from tokenmeter.rating.meter import AggregationType

COMPILED_MAX = 10_000  # label sets for which it is remembered what they count in
_PLAIN = frozenset({AggregationType.SUM, AggregationType.AVG})
_SMALL = "I"  # an array of whole numbers from 0 to 2**32 - 1, and of nothing else


class Rule(NamedTuple):
    """How one slot counts."""

    slot: Slot
    form: int
    at: int  # of its count among the numbers of a cell; its total is the next; -1: in states


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """How events are counted whose labels and fields say it all: each adds 1, and its fields."""

    family: Family
    counts: tuple[str, ...]  # columns that each event adds 1 to
    totals: tuple[str, ...]  # columns that it adds its fields to
    fields: tuple[str, ...]
    pick: Callable[[Properties], tuple[int, ...]]

    def amounts(self, properties: Sequence[Properties]) -> list[tuple[int, ...]] | None:
        """Return 1 and the fields of each event; None if some are no small whole numbers."""
        try:
            found = [(1, *amounts) for amounts in map(self.pick, properties)]
            array(_SMALL, chain.from_iterable(found))
        except (KeyError, OverflowError, TypeError):
            return None
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """What the events of one label set count in."""

    family: Family
    labels: Labels  # of the family's keys
    unsure: frozenset[str]  # an event that has one of these properties is looked at by itself
    way: Way | None  # of most that count
    sure: tuple[Rule, ...]  # what the way does
    others: tuple[Rule, ...]  # which look closer at each event


def compiled_of(plan: Plan, labels: LabelSet) -> Compiled | None:
    """Return what events of these labels count in; None: in nothing."""
    known = plan.compiled
    if labels not in known:
        if len(known) >= COMPILED_MAX:
            known.clear()
        known[labels] = _compiled(plan, labels)
    found: Compiled | None = known[labels]
    return found


def all_rules(family: Family) -> Iterator[Rule]:
    """Give the rules that look closely at each event."""
    for slot in family.slots:
        place = slot.counted.place
        at = -1 if place is None else family.columns.index(columns_of(place)[0])
        yield Rule(slot, form_of(slot.meter.aggregation.kind), at)


def labels_among(keys: Sequence[str], properties: Properties) -> Labels:
    """Return the labels that cells are kept apart by."""
    return tuple((name, properties[name]) for name in keys if name in properties)


def _compiled(plan: Plan, row: LabelSet) -> Compiled | None:
    family = plan.families.get((row.environment, row.event_name))
    if family is None:
        return None
    labels = dict(row.pairs)
    looked_at = set(family.keys) | {"billable"}
    sure: list[Rule] = []
    others: list[Rule] = []
    for rule in all_rules(family):
        filters = rule.slot.meter.filters
        names = names_of(f.key for f in filters)
        looked_at |= names
        if not (names <= LABELS and all(_is_short(f.values) for f in filters)):
            others.append(rule)
        elif matches(filters, labels) and _counts(rule.slot, labels):
            (sure if _is_quick(rule) else others).append(rule)
    return Compiled(
        family,
        labels_among(family.keys, labels),
        frozenset(looked_at - labels.keys()),
        _way(plan.ways, family, sure),
        tuple(sure),
        tuple(others),
    )


def _way(known: dict[Any, Way], family: Family, rules: Sequence[Rule]) -> Way | None:
    """Return the way of some rules; label sets that count alike share it."""
    if not rules:
        return None
    place = (family.id, tuple(rule.at for rule in rules))
    if place not in known:
        added = [rule for rule in rules if rule.form == ADDED]
        fields = tuple(rule.slot.meter.aggregation.field for rule in added)
        known[place] = Way(
            family,
            tuple(family.columns[rule.at] for rule in rules),
            tuple(family.columns[rule.at + 1] for rule in added),
            fields,
            _pick(fields),
        )
    return known[place]


def _pick(fields: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[int, ...]]:
    if len(fields) > 1:
        return itemgetter(*fields)
    return lambda properties: tuple([properties[name] for name in fields])


def _is_quick(rule: Rule) -> bool:
    """Tell whether an event that counts adds its number to the columns as it stands."""
    how = rule.slot.meter.aggregation
    return rule.at >= 0 and (rule.form == COUNTED or (how.kind in _PLAIN and bool(how.field)))


def _counts(slot: Slot, labels: Properties) -> bool:
    return slot.meter.include_unbilled or is_billable(labels)


def _is_short(values: Sequence[str]) -> bool:
    return all(len(value) <= LABEL_CHARS_MAX for value in values)
