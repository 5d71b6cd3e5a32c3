"""Features: what customers are told they use; a metered one has a meter."""

from __future__ import annotations

import re
from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.meters import METER, meter_of
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import (
    Body,
    Draft,
    Kind,
    Registry,
    changed,
    shown,
)
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.documents import Document

FEATURE_TYPES = ("metered", "boolean", "static", "config")
_ECHOED = ("description", "group_id", "reporting_unit", "alert_settings")


def _make(registry: Registry, fields: Fields) -> Draft:
    name = reading.needed(fields, "name")
    kind = reading.choice(fields, "type", FEATURE_TYPES)
    lookup_key = reading.key(fields) or _slug(name)
    body: dict[str, Any] = {
        "name": name,
        "lookup_key": lookup_key,
        "type": kind,
        "metadata": reading.metadata(fields),
        **_units(fields),
        **_echoed(fields),
    }
    if kind == "metered":
        body["meter_id"] = _meter(registry, fields, name)
    return Draft(body, lookup_key, body.get("meter_id"))


def _meter(registry: Registry, fields: Fields, name: str) -> str:
    """Find the feature's meter, or make the one that is written within the feature."""
    reference = reading.text(fields, "meter_id")
    if reference:
        return meter_of(registry, reference).id
    inline = reading.mapping(fields, "meter")
    if not inline:
        raise ValidationError("A metered feature needs meter_id or meter.")
    return registry.create(METER, {**inline, "name": inline.get("name") or name}).id


def _change(registry: Registry, document: Document, fields: Fields) -> Draft:
    changes: dict[str, Any] = _echoed(fields)
    if fields.get("name") is not None:
        changes["name"] = reading.needed(fields, "name")
    if fields.get("metadata") is not None:
        changes["metadata"] = reading.metadata(fields)
    changes |= _units({**document.body, **fields})
    if fields.get("filters") and document.body.get("meter_id"):
        meter = registry.get("meter", document.body["meter_id"])
        registry.update(METER, meter, {"filters": fields["filters"]})
    return changed(document, changes)


def _expand(registry: Registry, body: Body) -> Body:
    meter = registry.documents.find("meter", body.get("meter_id") or "")
    return body if meter is None else {**body, "meter": shown(meter)}


def _units(fields: Fields) -> dict[str, Any]:
    one, many = reading.text(fields, "unit_singular"), reading.text(fields, "unit_plural")
    if bool(one) != bool(many):
        raise ValidationError("Give unit_singular and unit_plural, or neither.")
    return {"unit_singular": one, "unit_plural": many}


def _echoed(fields: Fields) -> dict[str, Any]:
    reading.text(fields, "description")
    reading.text(fields, "group_id")
    reading.mapping(fields, "reporting_unit")
    reading.mapping(fields, "alert_settings")
    return reading.given(fields, _ECHOED)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or name


FEATURE = Kind("feature", "feat", _make, _change, _expand)
