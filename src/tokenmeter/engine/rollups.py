"""
Counting as events come in: which meters, and what an event adds to which cell.

A meter is counted in a slot. Meters of one event name are a family: they share their cells,
which are kept apart by customer, hour, and the properties that the family's prices filter on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenmeter.engine.store import rollups as stored
from tokenmeter.engine.store.cells import columns_of
from tokenmeter.engine.store.events import last_id
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rollups import Beginning, Counted
from tokenmeter.engine.tallies import IN_COLUMNS, form_of
from tokenmeter.rating.define import define_filters, define_meter
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import ALIASES
from tokenmeter.rating.meter import AggregationType, Meter

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

_logger = logging.getLogger("tokenmeter.engine")
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode

# What grows with what is counted is read raw.
NOT_KEPT = frozenset({AggregationType.COUNT_UNIQUE})
# Of the keys of a family, as JSON: they stand in an index of PostgreSQL's, which takes little
# more. What prices tell apart by more is read raw.
KEYS_BYTES_MAX = 1_000


class Slot(NamedTuple):
    """A meter that is counted, and where."""

    counted: Counted
    meter: Meter


@dataclass(frozen=True, slots=True)
class Family:
    """The counted meters of one event name in one environment."""

    id: int
    keys: tuple[str, ...]
    slots: tuple[Slot, ...]
    columns: tuple[str, ...]  # that the slots have in a cell


@dataclass(frozen=True, slots=True)
class Plan:
    """What is counted, as of one version of the definitions."""

    version: int
    families: dict[tuple[str, str], Family]
    pending: bool  # a meter has not counted all that came before it
    compiled: dict[Any, Any] = field(default_factory=dict[Any, Any])  # see `compiled`
    ways: dict[Any, Any] = field(default_factory=dict[Any, Any])  # see `compiled`


@dataclass(slots=True)
class _Wish:
    """The meters that an event name should have, and the keys of their prices."""

    keys: set[str] = field(default_factory=set[str])
    meters: dict[str, Meter] = field(default_factory=dict[str, Meter])  # by definition

    def written_keys(self) -> str:
        """Write the keys as the database holds them."""
        return _encode(sorted(self.keys))

    def is_storable(self) -> bool:
        """Tell whether the database takes the keys."""
        return len(self.written_keys().encode()) <= KEYS_BYTES_MAX


def names_of(keys: Iterable[str]) -> set[str]:
    """Return the properties that filters on these keys look at."""
    return {name for key in keys for name in ALIASES.get(key, (key,))}


def definition_of(meter: Meter) -> str:
    """Write what a meter counts, without its name: two that count alike are one."""
    rule = meter.aggregation
    return _encode(
        {
            "aggregation": {
                "kind": rule.kind,
                "field": rule.field,
                "expression": rule.expression,
                "multiplier": None if rule.multiplier is None else str(rule.multiplier),
                "bucket_size": rule.bucket_size,
                "group_by": rule.group_by,
                "aliases": rule.aliases,
            },
            "filters": [[f.key, f.values] for f in meter.filters],
            "include_unbilled": meter.include_unbilled,
        }
    )


def current_plan(store: Store, connection: Connection) -> Plan:
    """
    Return what is to be counted; begin with new meters and end with those that are gone.

    The caller ingests, and remembers the plan when that is committed (`store.plan`).
    """
    version = stored.version(connection)
    known = store.plan
    if isinstance(known, Plan) and known.version == version and not known.pending:
        return known
    wishes = _wishes(connection)
    _follow(connection, wishes)
    return _plan(connection, version, wishes)


def _wishes(connection: Connection) -> dict[tuple[str, str], _Wish]:
    meters: dict[tuple[str, str], Meter] = {}
    keys: dict[tuple[str, str], set[str]] = {}
    for environment, kind, name, body in stored.definitions(connection):
        try:
            if kind == "meter":
                meters[environment, name] = define_meter({**body, "id": name})
            else:
                about = (environment, str(body.get("meter_id") or ""))
                filters = define_filters(body.get("filter_values"))
                keys.setdefault(about, set()).update(f.key for f in filters)
        except RatingError as error:
            _logger.warning("tokenmeter: the %s %s cannot be counted: %s", kind, name, error)
    wishes: dict[tuple[str, str], _Wish] = {}
    for (environment, name), meter in meters.items():
        if meter.aggregation.kind in NOT_KEPT:
            continue
        wish = wishes.setdefault((environment, meter.event_name.strip()), _Wish())
        wish.meters.setdefault(definition_of(meter), meter)
        wish.keys |= names_of(keys.get((environment, name), ()))
        wish.keys |= {meter.aggregation.group_by} - {""}
    return {place: wish for place, wish in wishes.items() if wish.is_storable()}


def _follow(connection: Connection, wishes: dict[tuple[str, str], _Wish]) -> None:
    """Make the slots what the wishes say."""
    families = {
        stored.family_id(connection, *place, wish.written_keys()): wish
        for place, wish in wishes.items()
    }
    wanted = {(family, told) for family, wish in families.items() for told in wish.meters}
    running = {(slot.family_id, slot.definition): slot.id for slot in stored.counted(connection)}
    gone = [slot for key, slot in running.items() if key not in wanted]
    if gone:
        stored.retire(connection, gone)
    for family, told in sorted(wanted - running.keys()):
        form = form_of(families[family].meters[told].aggregation.kind)
        fits = form in IN_COLUMNS
        stored.start(connection, Beginning(family, told, last_id(connection), fits))


def _plan(connection: Connection, version: int, wishes: dict[tuple[str, str], _Wish]) -> Plan:
    slots: dict[tuple[str, str], list[Slot]] = {}
    for counted in stored.counted(connection):
        place = (counted.environment, counted.event_name)
        meter = wishes[place].meters[counted.definition]
        slots.setdefault(place, []).append(Slot(counted, meter))
    families = {place: _family(held) for place, held in slots.items()}
    pending = any(not slot.counted.is_complete for held in slots.values() for slot in held)
    return Plan(version, families, pending)


def _family(slots: Sequence[Slot]) -> Family:
    first = slots[0].counted
    places = sorted(s.counted.place for s in slots if s.counted.place is not None)
    columns = tuple(name for place in places for name in columns_of(place))
    return Family(first.family_id, first.keys, tuple(slots), columns)


def only(plan: Plan, chosen: Container[int]) -> Plan:
    """Return a plan that counts some slots alone."""
    families = {
        place: slots
        for place, family in plan.families.items()
        if (slots := [slot for slot in family.slots if slot.counted.id in chosen])
    }
    return Plan(plan.version, {k: _family(slots) for k, slots in families.items()}, plan.pending)


def slot_for(
    connection: Connection, environment: str, meter: Meter, names: Sequence[str]
) -> Counted | None:
    """Return the complete slot that counts a meter apart by these properties, or None."""
    told = definition_of(meter)
    for counted in stored.counted(connection, environment):
        same = counted.definition == told and counted.event_name == meter.event_name.strip()
        if same and counted.is_complete and set(names) <= set(counted.keys):
            return counted
    return None
