"""A catalog's place in this engine's own database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tokenmeter.engine.catalog import Held
from tokenmeter.engine.catalog_fields import Fields
from tokenmeter.engine.clock import Clock, rfc3339, system_clock
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.rating.define import moment_in

PREFIXES = {
    "price_unit": "price_unit",
    "meter": "meter",
    "feature": "feat",
    "plan": "plan",
    "price": "price",
    "costsheet": "cost",
    "entitlement": "ent",
    "credit_grant": "cg",
}
STAMPS = frozenset({"id", "status", "environment_id", "created_at", "updated_at"})
KEYS = {"price_unit": "code", "meter": "name"}  # else lookup_key
PARENTS = {"price": "entity_id", "entitlement": "plan_id", "credit_grant": "plan_id"}
# A price that changes in one of these ends, and a new version begins.
CRITICAL = frozenset(
    {
        *("amount", "billing_model", "tier_mode", "tiers", "transform_quantity"),
        *("price_unit_type", "price_unit_config", "filter_values", "billing_period"),
        *("billing_period_count", "invoice_cadence", "min_quantity"),
    }
)


class LocalCatalog:
    """The definitions of one environment, as a catalog is applied to them."""

    def __init__(
        self, store: Store, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._environment = environment
        self._clock = clock

    def list(self, kind: str) -> Sequence[Held]:
        """Return what is published and in force."""
        now = self._clock()
        with self._store.reading() as connection:
            found = Documents(connection, self._environment).all(kind)
        return [
            Held(d.id, d.body)
            for d in found
            if d.body.get("scope", "PLAN") == "PLAN" and not _is_over(d.body, now)
        ]

    def create(self, kind: str, fields: Fields) -> Held:
        """Make a new one."""
        now = self._clock()
        with self._store.writing() as connection:
            made = self._new(kind, fields, now)
            return _held(Documents(connection, self._environment).insert(made))

    def update(self, kind: str, id: str, fields: Fields) -> Held:  # noqa: A002
        """Change fields in place, or begin a new version of a price."""
        now = self._clock()
        with self._store.writing() as connection:
            held = Documents(connection, self._environment)
            old = held.get(kind, id)
            if kind != "price" or CRITICAL.isdisjoint(fields):
                body = {**old.body, **fields, "updated_at": rfc3339(now)}
                return _held(held.replace(replace(old, body=body, updated_us=microseconds(now))))
            begins = max(now, moment_in({**old.body, **fields}, "start_date") or now)
            held.replace(_ended(old, begins, now))
            root = old.body.get("parent_price_id") or old.id
            version = {"parent_price_id": root, "start_date": rfc3339(begins)}
            return _held(held.insert(self._new(kind, {**old.body, **fields, **version}, now)))

    def archive(self, kind: str, id: str) -> None:  # noqa: A002
        """Take it out of use."""
        now = self._clock()
        with self._store.writing() as connection:
            held = Documents(connection, self._environment)
            old = held.get(kind, id)
            gone = _ended(old, now, now) if kind == "price" else old
            body = {**gone.body, "status": "archived", "updated_at": rfc3339(now)}
            held.replace(
                replace(
                    gone,
                    body=body,
                    status="archived",
                    lookup_key=None,
                    updated_us=microseconds(now),
                )
            )

    def _new(self, kind: str, fields: Fields, now: datetime) -> Document:
        given = {k: v for k, v in fields.items() if k not in STAMPS}
        made = {**_stamps(PREFIXES[kind], now, self._environment), **given}
        return Document(
            kind,
            made["id"],
            made,
            lookup_key=made.get(KEYS.get(kind, "lookup_key")),
            parent=made.get(PARENTS.get(kind, "")),
            created_us=microseconds(now),
            updated_us=microseconds(now),
        )


def _stamps(prefix: str, now: datetime, environment: str) -> dict[str, Any]:
    return {
        "id": new_id(prefix),
        "status": "published",
        "environment_id": environment,
        "created_at": rfc3339(now),
        "updated_at": rfc3339(now),
    }


def _ended(price: Document, at: datetime, now: datetime) -> Document:
    """End a price at a moment, if it has not ended by then; before its start it never begins."""
    start, end = (moment_in(price.body, name) for name in ("start_date", "end_date"))
    over = max(min(at, end or at), start or at)
    status = "archived" if over == start else price.status
    body = {**price.body, "status": status, "end_date": rfc3339(over), "updated_at": rfc3339(now)}
    changed = replace(price, body=body, status=status, lookup_key=None)
    return replace(changed, updated_us=microseconds(now))


def _held(document: Document) -> Held:
    return Held(document.id, document.body)


def _is_over(body: Mapping[str, Any], now: datetime) -> bool:
    end = moment_in(body, "end_date")
    return end is not None and end <= now
