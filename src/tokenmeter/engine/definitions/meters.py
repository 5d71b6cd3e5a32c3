"""Meters: which events count, and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Draft, Kind, Registry, changed
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.documents import Document
from tokenmeter.rating.define import define_filters, define_meter
from tokenmeter.rating.filters import Filter, merged
from tokenmeter.rating.meter import Aggregation, Meter
from tokenmeter.rating.rounding import plain

# What vendors' documents call the same number; a meter that names no aliases gets these.
VENDOR_NAMES = {
    "audio_seconds": ("duration_seconds", "duration"),
    "image_count": ("images_generated", "images", "n"),
    "input_tokens": ("prompt_tokens",),
    "output_tokens": ("completion_tokens",),
    "request_count": ("requests",),
    "video_jobs": ("jobs",),
    "video_seconds": ("duration_seconds", "duration", "seconds"),
    "video_tokens": ("completion_tokens",),
    "world_count": ("worlds_generated", "worlds"),
}


def rating_meter(document: Document) -> Meter:
    """Build the meter that measures, from its document."""
    return define_meter({**document.body, "id": document.id})


def meter_of(registry: Registry, reference: str, field: str = "meter_id") -> Document:
    """Find a meter by id or by name; ValidationError if there is none, or several by a name."""
    found = registry.documents.find("meter", reference)
    if found is not None and found.status == "published":
        return found
    named = [m for m in registry.documents.all("meter") if m.body["name"] == reference]
    if len(named) != 1:
        several = "are several meters named" if named else "is no meter"
        raise ValidationError(f"{field}: there {several} {reference!r}.")
    return named[0]


def _make(registry: Registry, fields: Fields) -> Draft:
    reading.needed(fields, "name")
    reading.needed(fields, "event_name")
    meter = define_meter(_aliased(fields))
    body: dict[str, Any] = {
        "name": meter.name,
        "event_name": meter.event_name,
        "aggregation": _aggregation(meter.aggregation),
        "filters": _filters(meter.filters),
        "reset_usage": reading.text(fields, "reset_usage"),  # as it was spelled
    }
    if meter.include_unbilled:
        body["include_unbilled"] = True
    taken = registry.documents.by_lookup_key("meter", meter.name)
    return Draft(body, None if taken else meter.name)


def _aliased(fields: Fields) -> Fields:
    rule = reading.mapping(fields, "aggregation")
    known = VENDOR_NAMES.get(reading.text(rule, "field"))
    if known is None or "aliases" in rule:
        return fields
    return {**fields, "aggregation": {**rule, "aliases": list(known)}}


def _change(_registry: Registry, document: Document, fields: Fields) -> Draft:
    """Add filters: a meter cannot be changed in any other way, and nothing is taken away."""
    held = define_filters(document.body["filters"])
    more = merged(held, define_filters(fields.get("filters")))
    return changed(document, {"filters": _filters(more)})


def _filters(filters: Iterable[Filter]) -> list[dict[str, Any]]:
    return [{"key": f.key, "values": list(f.values)} for f in filters]


def _aggregation(rule: Aggregation) -> dict[str, Any]:
    written: dict[str, Any] = {"type": rule.kind.value}
    optional = {
        "field": rule.field,
        "expression": rule.expression,
        "multiplier": None if rule.multiplier is None else plain(rule.multiplier),
        "bucket_size": None if rule.bucket_size is None else rule.bucket_size.value,
        "group_by": rule.group_by,
        "aliases": list(rule.aliases),
    }
    return written | {name: value for name, value in optional.items() if value}


METER = Kind("meter", "meter", _make, _change)
