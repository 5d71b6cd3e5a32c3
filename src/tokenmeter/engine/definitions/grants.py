"""Credit grants: the credits that a plan or a subscription gives."""

from __future__ import annotations

from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Draft, Kind, Registry, changed
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.documents import Document
from tokenmeter.rating.grant import define_grant

SCOPES = {"PLAN": "plan", "SUBSCRIPTION": "subscription", "ADDON": "addon"}
_DATES = ("start_date", "end_date")
_RATES = ("conversion_rate", "topup_conversion_rate")


def _make(registry: Registry, fields: Fields) -> Draft:
    scope = reading.choice(fields, "scope", SCOPES)
    field = f"{SCOPES[scope]}_id"
    entity = registry.referred(SCOPES[scope], reading.needed(fields, field), field)
    grant = define_grant(fields)
    body: dict[str, Any] = {
        "name": reading.needed(fields, "name"),
        "scope": scope,
        field: entity.id,
        "credits": reading.written(grant.credits),
        "cadence": reading.text(fields, "cadence"),
        "period": reading.text(fields, "period"),
        "period_count": grant.count,
        "expiration_type": grant.expiration,
        "expiration_duration": grant.duration,
        "expiration_duration_unit": grant.unit,
        "priority": grant.priority,
        "metadata": reading.metadata(fields),
        **_rates(fields),
        **_dates(fields),
    }
    return Draft({k: v for k, v in body.items() if v not in (None, "")}, parent=entity.id)


def _rates(fields: Fields) -> dict[str, str | None]:
    found = {name: reading.amount(fields, name) for name in _RATES}
    if any(rate is not None and rate <= 0 for rate in found.values()):
        raise ValidationError("A conversion rate is above 0.")
    return {name: reading.written(rate) for name, rate in found.items()}


def _dates(fields: Fields) -> dict[str, Any]:
    start, end = (reading.moment(fields, name) for name in _DATES)
    if start and end and end <= start:
        raise ValidationError("end_date: a grant cannot end before it starts.")
    return {name: fields[name] for name in _DATES if fields.get(name)}


def _change(_registry: Registry, document: Document, fields: Fields) -> Draft:
    changes: dict[str, Any] = {}
    if fields.get("name") is not None:
        changes["name"] = reading.needed(fields, "name")
    if fields.get("metadata") is not None:
        changes["metadata"] = reading.metadata(fields)
    return changed(document, changes | _dates({**document.body, **fields}))


CREDIT_GRANT = Kind("credit_grant", "cg", _make, _change)
