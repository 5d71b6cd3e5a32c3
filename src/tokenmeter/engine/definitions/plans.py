"""Plans and cost sheets: what prices are attached to."""

from __future__ import annotations

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
from tokenmeter.engine.errors import AlreadyExistsError
from tokenmeter.engine.store.documents import Document


def _details(fields: Fields) -> Draft:
    lookup_key = reading.key(fields)
    body: dict[str, Any] = {
        "name": reading.needed(fields, "name"),
        "lookup_key": lookup_key or "",
        "description": reading.text(fields, "description"),
        "metadata": reading.metadata(fields),
    }
    order = reading.whole(fields, "display_order")
    return Draft(body if order is None else {**body, "display_order": order}, lookup_key)


def _make_plan(_registry: Registry, fields: Fields) -> Draft:
    return _details(fields)


def _make_costsheet(registry: Registry, fields: Fields) -> Draft:
    if registry.documents.list("costsheet", limit=1).total:
        raise AlreadyExistsError("There is an active cost sheet; change it, or delete it first.")
    return _details(fields)


def _change(_registry: Registry, document: Document, fields: Fields) -> Draft:
    sent = {name: value for name, value in fields.items() if value is not None}
    return _details({**document.body, **sent})


def _expand_plan(registry: Registry, body: Body) -> Body:
    held = {"prices": "price", "entitlements": "entitlement", "credit_grants": "credit_grant"}
    return {**body, **{name: _children(registry, kind, body) for name, kind in held.items()}}


def _expand_costsheet(registry: Registry, body: Body) -> Body:
    return {**body, "prices": _children(registry, "price", body)}


def _children(registry: Registry, kind: str, body: Body) -> list[Body]:
    return [shown(d) for d in registry.documents.all(kind, parent=body["id"])]


PLAN = Kind("plan", "plan", _make_plan, _change, _expand_plan)
COSTSHEET = Kind("costsheet", "cost", _make_costsheet, _change, _expand_costsheet)
