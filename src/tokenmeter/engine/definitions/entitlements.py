"""Entitlements: what a plan includes of a feature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import (
    Body,
    Draft,
    Kind,
    Registry,
    shown,
)
from tokenmeter.engine.errors import AlreadyExistsError, ValidationError
from tokenmeter.engine.store.documents import Document
from tokenmeter.rating.entitlement import (
    AGGREGATION_MODES,
    ALLOCATIONS,
    GRANT_MEASURES,
    GRANT_UNIT_NAMES,
    Entitlement,
    check_choice,
    grant_duration,
)
from tokenmeter.rating.periods import reset_period_of
from tokenmeter.rating.rounding import plain

ENTITIES = {"PLAN": "plan", "SUBSCRIPTION": "subscription", "ADDON": "addon"}
_CHOICES = {
    "aggregation_mode": AGGREGATION_MODES,
    "grant_allocation_behavior": ALLOCATIONS,
    "grant_measure": GRANT_MEASURES,
    "grant_duration_unit": GRANT_UNIT_NAMES,
}
_UNTIMED = "subscription_period"  # a grant's unit that has no length of its own


def rating_entitlement(document: Document) -> Entitlement:
    """Build the allowance that billing applies, from its document."""
    return _entitlement(document.body)


def _make(registry: Registry, fields: Fields) -> Draft:
    reference = reading.needed(fields, "feature_id")
    feature = registry.referred("feature", reference, "feature_id")
    kind = feature.body["type"]
    if reading.text(fields, "feature_type") not in {"", kind}:
        raise ValidationError(f"feature_type: the feature is {kind}.")
    entity_type, entity = _entity(registry, fields)
    held = registry.documents.all("entitlement", parent=entity.id)
    if any(e.body["feature_id"] == feature.id for e in held):
        raise AlreadyExistsError("The feature has an entitlement here already; change that one.")
    body: dict[str, Any] = {
        "feature_id": feature.id,
        "feature_type": kind,
        "entity_type": entity_type,
        "entity_id": entity.id,
        **({"plan_id": entity.id} if entity_type == "PLAN" else {}),
        "parent_entitlement_id": reading.text(fields, "parent_entitlement_id"),
        **_terms(fields, kind),
    }
    return Draft(body, parent=entity.id)


def _entity(registry: Registry, fields: Fields) -> tuple[str, Document]:
    plan_id = reading.key(fields, "plan_id")
    if plan_id is not None:
        return "PLAN", registry.referred("plan", plan_id, "plan_id")
    entity_type = reading.choice(fields, "entity_type", ENTITIES)
    reference = reading.needed(fields, "entity_id")
    return entity_type, registry.referred(ENTITIES[entity_type], reference, "entity_id")


def _terms(fields: Fields, kind: str) -> dict[str, Any]:
    static = reading.text(fields, "static_value")
    if kind == "static" and not static:
        raise ValidationError("static_value is required for a static feature.")
    enabled = reading.flag(fields, "is_enabled", default=False)
    terms: dict[str, Any] = {
        "is_enabled": enabled if kind == "boolean" else True,
        "usage_limit": _count(fields, "usage_limit"),
        "usage_reset_period": reading.text(fields, "usage_reset_period"),
        "is_soft_limit": reading.flag(fields, "is_soft_limit", default=False),
        "static_value": static,
        "config_value": dict(reading.mapping(fields, "config_value")) or None,
        **_choices(fields),
        **_grant(fields),
    }
    _refuse_dates(fields)
    _entitlement(terms)
    return {name: value for name, value in terms.items() if value not in {None, ""}}


def _entitlement(body: Fields) -> Entitlement:
    reset = reading.text(body, "usage_reset_period")
    return Entitlement(
        reading.amount(body, "usage_limit"),
        is_enabled=reading.flag(body, "is_enabled", default=True),
        reset=reset_period_of(reset) if reset else None,
        is_soft_limit=reading.flag(body, "is_soft_limit", default=False),
    )


def _choices(fields: Fields) -> dict[str, str]:
    found = {name: reading.text(fields, name) for name in _CHOICES}
    for name, value in found.items():
        check_choice(value, _CHOICES[name], name)
    return found


def _grant(fields: Fields) -> dict[str, Any]:
    length = reading.whole(fields, "grant_duration_value", least=1)
    unit = reading.text(fields, "grant_duration_unit")
    if length is not None and unit != _UNTIMED:
        grant_duration(length, unit)
    if reading.flag(fields, "grant_unlimited", default=False):
        raise ValidationError("grant_unlimited: leave usage_limit out for no limit.")
    quota = reading.amount(fields, "grant_quota")
    if quota is not None and quota < 0:
        raise ValidationError("grant_quota is at least 0.")
    if quota is not None:
        raise ValidationError(
            "grant_quota: what is included is usage_limit with its usage_reset_period here; there "
            "are no quotas from the first use on."
        )
    return {"grant_duration_value": length}


def _refuse_dates(fields: Fields) -> None:
    start, end = reading.moment(fields, "start_date"), reading.moment(fields, "end_date")
    if start and end and end <= start:
        raise ValidationError("end_date: an entitlement cannot end before it starts.")
    if start or end:
        raise ValidationError(
            "start_date and end_date: an entitlement holds as long as its plan or subscription "
            "does here; leave them out."
        )


def _count(fields: Fields, name: str) -> int | str | None:
    value = reading.amount(fields, name)
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else plain(value)


def _change(registry: Registry, document: Document, fields: Fields) -> Draft:
    fixed = ("feature_id", "feature_type", "entity_type", "entity_id", "plan_id")
    kept = reading.given(document.body, (*fixed, "parent_entitlement_id"))
    sent = {name: value for name, value in fields.items() if name not in kept}
    feature = registry.get("feature", document.body["feature_id"])
    body = {**kept, **_terms({**document.body, **sent}, feature.body["type"])}
    return Draft(body, parent=document.parent)


def _expand(registry: Registry, body: Body) -> Body:
    related: dict[str, Callable[[], Document | None]] = {
        "feature": lambda: registry.documents.find("feature", body["feature_id"]),
        "plan": lambda: registry.documents.find("plan", body.get("plan_id", "")),
    }
    found = {name: find() for name, find in related.items()}
    return {**body, **{name: shown(d) for name, d in found.items() if d is not None}}


ENTITLEMENT = Kind("entitlement", "ent", _make, _change, _expand)
