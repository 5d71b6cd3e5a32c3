"""
The catalog as one YAML file: read, checked as rating will read it, mistakes by their line.

A catalog is a list of entries in Flexprice's field names. What refers to another definition
names it by its key; ids belong to the place where the catalog is applied.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenmeter.engine.catalog_check import check
from tokenmeter.engine.catalog_fields import KINDS, Fields
from tokenmeter.errors import ConfigurationError
from tokenmeter.pricing.media_yaml import Node, read_yaml

WHAT = "catalog"
BUNDLED = ("studio", "llm")
SECTIONS = {
    "price_units": "price_unit",
    "meters": "meter",
    "features": "feature",
    "plans": "plan",
    "costsheets": "costsheet",
}
PARTS = {"prices": "price", "entitlements": "entitlement", "credit_grants": "credit_grant"}
_OWNERS = {"plan": PARTS, "costsheet": {"prices": "price"}}
_PART = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One definition. `refs` names others: by the field that holds the id, (kind, key).

    The key of an entitlement or a grant is that of its plan and its own: ``ai_pro/images``.
    """

    kind: str
    key: str
    fields: Fields
    refs: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    line: int = 0


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """What a catalog file says, in the order in which it is created."""

    name: str
    entries: tuple[Entry, ...]

    def of(self, kind: str) -> tuple[Entry, ...]:
        """Return the entries of one kind."""
        return tuple(e for e in self.entries if e.kind == kind)


def load(source: str | Path) -> CatalogFile:
    """
    Read a catalog: a file, or the name of a bundled one (`studio`, `llm`).

    Raises ConfigurationError with the file and the line of a mistake.
    """
    path = _path(source)
    top, _ = read_yaml(path, WHAT)
    if top is None:
        raise ConfigurationError(f"the catalog {path} is empty; write meters and plans into it")
    sections = top.fields(("name", "currency", "description", *SECTIONS))
    read = _Reading(sections["currency"].text() if "currency" in sections else "usd")
    for section, kind in SECTIONS.items():
        if section in sections:
            read.section(kind, sections[section])
    read.check()
    name = sections["name"].text() if "name" in sections else path.stem
    order = list(KINDS)
    return CatalogFile(name, tuple(sorted(read.entries, key=lambda e: order.index(e.kind))))


def _path(source: str | Path) -> Path:
    if source in BUNDLED:
        return Path(str(importlib.resources.files("tokenmeter") / "catalog" / f"{source}.yaml"))
    return Path(source)


class _Reading:
    """Entries as they are read, with the place of each for the mistakes found later."""

    def __init__(self, currency: str) -> None:
        self.currency = currency.lower()
        self.entries: list[Entry] = []
        self.nodes: dict[tuple[str, str], Node] = {}

    def section(self, kind: str, node: Node) -> None:
        """Read the definitions of one section, and what hangs on them."""
        for key, body in node.fields().items():
            parts = body.fields((*KINDS[kind].readers, *KINDS[kind].refs, *_OWNERS.get(kind, ())))
            self._entry(kind, key, body, {k: n for k, n in parts.items() if k not in PARTS})
            for name, part in _OWNERS.get(kind, {}).items():
                if name in parts:
                    self._parts(part, (kind, key), parts[name])

    def check(self) -> None:
        """Refuse what refers to nothing, and what rating could not read."""
        for entry in self.entries:
            for id_field, (kind, key) in entry.refs.items():
                if (kind, key) not in self.nodes:
                    place = _place(self._node(entry), id_field.removesuffix("_id"))
                    raise place.fail(f"there is no {kind} {key!r} in this catalog")
        for entry, error in check(self.entries):
            raise _place(self._node(entry), error.field).fail(str(error)) from error

    def _node(self, entry: Entry) -> Node:
        return self.nodes[entry.kind, entry.key]

    def _parts(self, kind: str, owner: tuple[str, str], node: Node) -> None:
        known = KINDS[kind]
        for key, body in node.fields().items():
            held = body.fields((*known.readers, *known.refs))
            self._entry(kind, key, body, held, owner)

    def _entry(
        self,
        kind: str,
        key: str,
        node: Node,
        held: Mapping[str, Node],
        owner: tuple[str, str] | None = None,
    ) -> None:
        known = KINDS[kind]
        fields = {k: known.readers[k](n) for k, n in held.items() if k in known.readers}
        named = {k: ref for k, ref in known.refs.items() if k in held}
        refs = {id_field: (other, held[k].text()) for k, (other, id_field) in named.items()}
        made = Entry(kind, key, {**self._defaults(kind, key, fields), **fields}, refs, node.line)
        if owner is not None:
            made = _owned(made, owner)
        if (made.kind, made.key) in self.nodes:
            raise node.fail(f"there is a {kind} {made.key!r} already; keys are unique")
        self.nodes[made.kind, made.key] = node
        self.entries.append(made)

    def _defaults(self, kind: str, key: str, fields: Fields) -> dict[str, Any]:
        known = KINDS[kind]
        found = {**known.defaults, **({known.key: key} if known.key else {})}
        if "name" in known.readers:
            found["name"] = key
        if kind == "price":
            found["currency"] = self.currency
            found |= {"price_unit_type": "CUSTOM"} if "price_unit_config" in fields else {}
        if kind == "price_unit":
            found["base_currency"] = self.currency
        return found


def _owned(entry: Entry, owner: tuple[str, str]) -> Entry:
    """Hang an entry on its plan or cost sheet."""
    kind, key = owner
    if entry.kind == "price":
        fields = {**entry.fields, "entity_type": kind.upper()}
        return Entry(entry.kind, entry.key, fields, {**entry.refs, "entity_id": owner}, entry.line)
    refs = {**entry.refs, "plan_id": owner}
    fields = dict(entry.fields)
    if entry.kind == "entitlement":
        refs.setdefault("feature_id", ("feature", entry.key))
    else:
        fields["scope"] = "PLAN"
    return Entry(entry.kind, f"{key}/{entry.key}", fields, refs, entry.line)


def _place(node: Node, path: str) -> Node:
    """Find the node that a path such as tiers[1].up_to names, or the last one on the way."""
    for part in _PART.findall(path):
        found = dict(_children(node)).get(part)
        if found is None:
            break
        node = found
    return node


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    if node.item.id == "mapping":
        yield from node.fields().items()
    elif node.item.id == "sequence":
        yield from ((str(i), n) for i, n in enumerate(node.items()))
