"""Write a catalog as the YAML file that would make it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from tokenmeter.engine.catalog_fields import KINDS
from tokenmeter.engine.catalog_file import PARTS, SECTIONS, Entry

_SECTION_OF = {kind: section for section, kind in (SECTIONS | PARTS).items()}
WIDTH = 99


def to_yaml(name: str, entries: Iterable[Entry]) -> str:
    """Write entries so that reading the text gives them again."""
    yaml: Any = importlib.import_module("yaml")
    return str(
        yaml.safe_dump(to_tree(name, entries), sort_keys=False, allow_unicode=True, width=WIDTH)
    )


def to_tree(name: str, entries: Iterable[Entry]) -> dict[str, Any]:
    """Arrange entries in sections, prices and entitlements beneath their plans."""
    tree: dict[str, Any] = {"name": name}
    for entry in entries:
        owner = entry.refs.get("entity_id") or entry.refs.get("plan_id")
        section = _SECTION_OF[entry.kind]
        if owner is None:
            tree.setdefault(section, {})[entry.key] = _body(entry)
            continue
        above = tree.setdefault(_SECTION_OF[owner[0]], {}).setdefault(owner[1], {})
        above.setdefault(section, {})[entry.key.rpartition("/")[2]] = _body(entry)
    return tree


def _body(entry: Entry) -> dict[str, Any]:
    known = KINDS[entry.kind]
    told = {k: v for k, v in entry.fields.items() if k in known.readers}
    body = {k: _said(v) for k, v in told.items() if v != known.defaults.get(k)}
    if "filters" in body:
        body["filters"] = {f["key"]: f["values"] for f in body["filters"]}
    for name, (_, id_field) in known.refs.items():
        if id_field in entry.refs:
            body[name] = entry.refs[id_field][1]
    return body


def _said(value: Any) -> Any:
    """Leave out what says nothing: a tier without up_to is open."""
    if isinstance(value, list):
        return [_said(v) for v in value]
    if isinstance(value, dict):
        return {k: _said(v) for k, v in value.items() if v is not None and v != []}
    return value
