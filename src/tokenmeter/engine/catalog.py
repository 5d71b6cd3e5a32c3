"""
Bring a catalog file to where it applies: show what differs, then make it so.

Definitions are recognised by their keys, so that applying twice changes nothing. What the file
does not name stays, unless it is to be pruned. Where to: anything that is a `CatalogTarget`,
this engine or Flexprice's cloud.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, cast

from tokenmeter.engine.catalog_fields import KINDS, Fields, in_one_spelling
from tokenmeter.engine.catalog_file import CatalogFile, Entry
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.event import parse_timestamp, timestamp_text
from tokenmeter.rating.define import define_filters
from tokenmeter.rating.filters import merged
from tokenmeter.rating.rounding import number, plain

# Fields that cannot be changed once there is one; of a price they begin a new version instead.
FIXED_FIELDS = {
    "meter": frozenset({"event_name", "aggregation", "reset_usage", "include_unbilled"}),
    "feature": frozenset({"type", "meter_id"}),
    "price": frozenset({"meter_id", "entity_id", "entity_type", "currency", "type"}),
    "price_unit": frozenset({"base_currency", "conversion_rate"}),
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
# What a target fills in where a file is silent.
FILLED = frozenset({"start_date", "display_name"})
_OWNED_BY = {"price": ["entity_id"], "entitlement": ["plan_id"], "credit_grant": ["plan_id"]}


@dataclass(frozen=True, slots=True)
class Held:
    """A definition that a target holds: its body in Flexprice's fields."""

    id: str
    fields: Fields


class CatalogTarget(Protocol):
    """Where a catalog can be applied. `kind` is one of `catalog_fields.KINDS`."""

    def list(self, kind: str) -> Sequence[Held]:
        """Return what is published and in force."""
        ...

    def create(self, kind: str, fields: Fields) -> Held:
        """Make a new one from Flexprice's fields, ids resolved."""
        ...

    def update(self, kind: str, id: str, fields: Fields) -> Held:  # noqa: A002
        """Change the fields that are given; of a price this may make a new version."""
        ...

    def archive(self, kind: str, id: str) -> None:  # noqa: A002
        """Take it out of use; what was invoiced with it stays."""
        ...


class Action(StrEnum):
    """What is done with one definition."""

    CREATE = "create"
    UPDATE = "update"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a file and a target; `differs` are the fields, before and after."""

    action: Action
    kind: str
    key: str
    differs: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    entry: Entry | None = None
    id: str = ""


def plan(catalog: CatalogFile, target: CatalogTarget, *, prune: bool = False) -> list[Change]:
    """
    List what has to change, in the order in which it is done; nothing is changed yet.

    InvalidOperationError if a field differs that cannot be changed.
    """
    held = _holdings(target)
    changes = [c for e in catalog.entries if (c := _change(e, held)) is not None]
    if prune:
        wanted = {(e.kind, e.key) for e in catalog.entries}
        gone = [place for place in held.by_key if place not in wanted]
        changes += [
            Change(Action.ARCHIVE, kind, key, id=held.by_key[kind, key].id)
            for kind, key in sorted(gone, key=lambda p: -list(KINDS).index(p[0]))
        ]
    return changes


def apply(changes: Iterable[Change], target: CatalogTarget) -> None:
    """Carry out a plan, in its order."""
    ids = _holdings(target).ids
    for change in changes:
        if change.action is Action.ARCHIVE:
            target.archive(change.kind, change.id)
            continue
        entry = cast(Entry, change.entry)
        wanted = dict(entry.fields)
        wanted |= {name: ids[place] for name, place in entry.refs.items()}
        if change.action is Action.CREATE:
            ids[entry.kind, entry.key] = target.create(entry.kind, wanted).id
        else:
            changed = {name: wanted.get(name) for name in change.differs}
            ids[entry.kind, entry.key] = target.update(entry.kind, change.id, changed).id


def entries_of(target: CatalogTarget) -> list[Entry]:
    """Read what a target holds as a file would write it."""
    held = _holdings(target)
    return [
        Entry(kind, key, _own(kind, one.fields), held.refs(kind, one.fields))
        for (kind, key), one in held.by_key.items()
    ]


@dataclass(frozen=True, slots=True)
class _Holdings:
    by_key: Mapping[tuple[str, str], Held]
    ids: dict[tuple[str, str], str]
    keys: Mapping[str, tuple[str, str]]  # by id

    def refs(self, kind: str, fields: Fields) -> dict[str, tuple[str, str]]:
        """Name what a definition refers to by key."""
        names = [id_field for _, id_field in KINDS[kind].refs.values()]
        names += _OWNED_BY.get(kind, [])
        found = {n: self.keys.get(str(_id(fields, n)), ("", "")) for n in names}
        return {name: place for name, place in found.items() if place[1]}


def _holdings(target: CatalogTarget) -> _Holdings:
    by_key: dict[tuple[str, str], Held] = {}
    keys: dict[str, tuple[str, str]] = {}
    for kind in KINDS:
        for held in target.list(kind):
            key = _key(kind, held.fields, keys)
            if key:
                by_key[kind, key] = held
                keys[held.id] = (kind, key)
    return _Holdings(by_key, {place: held.id for place, held in by_key.items()}, keys)


def _key(kind: str, fields: Fields, keys: Mapping[str, tuple[str, str]]) -> str:
    """Find the key of something held; "" for what no file could name."""
    if kind not in {"entitlement", "credit_grant"}:
        return str(fields.get(KINDS[kind].key) or "")
    owner = keys.get(str(_id(fields, "plan_id")), ("", ""))[1]
    own = fields.get("name")
    if kind == "entitlement":
        own = keys.get(str(fields.get("feature_id")), ("", ""))[1]
    return f"{owner}/{own}" if owner and own else ""


def _id(fields: Fields, name: str) -> object:
    if name == "plan_id" and not fields.get("plan_id"):
        return fields.get("entity_id")
    return fields.get(name)


def _change(entry: Entry, held: _Holdings) -> Change | None:
    one = held.by_key.get((entry.kind, entry.key))
    if one is None:
        return Change(Action.CREATE, entry.kind, entry.key, entry=entry)
    before = {**_own(entry.kind, one.fields), **held.refs(entry.kind, one.fields)}
    after = {**_own(entry.kind, entry.fields), **entry.refs}
    names = [n for n in {**after, **before} if _plain(before.get(n)) != _plain(after.get(n))]
    names = [n for n in names if n in after or n not in FILLED]
    if not names:
        return None
    _refuse_fixed(entry, names)
    if names == ["filters"]:
        _refuse_removed(entry, before, after)
    differs = {n: (before.get(n), after.get(n)) for n in names}
    return Change(Action.UPDATE, entry.kind, entry.key, differs, entry, one.id)


def _refuse_fixed(entry: Entry, names: Iterable[str]) -> None:
    for name in names:
        if name in FIXED_FIELDS.get(entry.kind, ()):
            raise InvalidOperationError(
                f"The {name.removesuffix('_id')} of {entry.kind} {entry.key!r} cannot be changed: "
                f"what was counted would change its meaning. Write another {entry.kind}, with "
                "another key."
            )


def _refuse_removed(entry: Entry, before: Fields, after: Fields) -> None:
    one, other = define_filters(before.get("filters")), define_filters(after.get("filters"))
    if {f.key: set(f.values) for f in merged(one, other)} != {f.key: set(f.values) for f in other}:
        raise InvalidOperationError(
            f"The filters of meter {entry.key!r} can be added to, not taken away from: write "
            "another meter, with another name."
        )


def _own(kind: str, fields: Fields) -> dict[str, Any]:
    """Keep what a file can say, with the defaults."""
    known = KINDS[kind]
    names = [*known.readers, *([known.key] if known.key else []), *_DERIVED.get(kind, ())]
    own = {**known.defaults, **{n: fields[n] for n in names if fields.get(n) not in _NOTHING}}
    return in_one_spelling(own) if kind == "meter" else own


_DERIVED = {"price": ("entity_type",)}
_NOTHING: tuple[object, ...] = (None, "", {}, [], ())


def _plain(value: object) -> object:
    """Bring a value into the form in which it is compared: 0.50 is 0.5."""
    if isinstance(value, Mapping):
        known = cast("Mapping[str, object]", value)
        return {k: _plain(v) for k, v in known.items() if v not in _NOTHING}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in cast("Sequence[object]", value)]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        with contextlib.suppress(ValueError):  # it only looks like a time
            return timestamp_text(parse_timestamp(value))  # 00:00:00Z is 00:00:00.000Z
    known_number = number(value)
    return str(value) if known_number is None else plain(known_number)
