"""An account of Flexprice as a place where a catalog is applied: over its REST API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tokenmeter.delivery.flexprice.account import account
from tokenmeter.delivery.flexprice.session import Answer, Session
from tokenmeter.engine.catalog import Held
from tokenmeter.engine.catalog_fields import Fields
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.errors import StoreError
from tokenmeter.rating.define import moment_in

PATHS = {
    "price_unit": "/prices/units",
    "meter": "/meters",
    "feature": "/features",
    "plan": "/plans",
    "costsheet": "/costs",
    "price": "/prices",
    "entitlement": "/entitlements",
    "credit_grant": "/creditgrants",
}
PAGE = 1_000
PAGES_MAX = 100
BULK_PRICES_MAX = 100  # of one request
RETRIES_MAX = 5  # while the server says that it is busy
RETRY_S = 0.5
Rows = list[dict[str, Any]]
_WRAPPED = {"costsheet": "costsheet"}
# What the cloud fills in where a file says nothing: no difference.
_FILLED: Mapping[str, Fields] = {
    "price": {"min_quantity": "0", "trial_period_days": 0},
    "entitlement": {"is_soft_limit": False},
    "plan": {"display_order": 0},
}


class CloudTarget:
    """
    ``CloudTarget("flexprice://us")``; prices are created in bulk, so call `finish` at the end.

    What the server refuses raises InvalidOperationError with its words.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._session = Session(account(url, api_key))
        self._prices: list[Fields] = []

    def list(self, kind: str) -> Sequence[Held]:
        """Return what is published and in force."""
        self.finish()
        if kind == "credit_grant":  # they are listed plan by plan
            plans = [held.id for held in self.list("plan")]
            found: Rows = []
            for plan in plans:
                found += self._all("GET", f"/plans/{plan}/creditgrants")
        elif kind in {"entitlement", "costsheet"}:
            found = self._all("POST", f"{PATHS[kind]}/search")
        else:
            found = self._all("GET", PATHS[kind])
        now = datetime.now(UTC)
        return [Held(str(b["id"]), _as_written(kind, b)) for b in found if _in_force(b, now)]

    def create(self, kind: str, fields: Fields) -> Held:
        """Make a new one; a price is sent with the next ones."""
        if kind == "price":
            self._prices.append(fields)
            if len(self._prices) >= BULK_PRICES_MAX:
                self.finish()
            return Held("", fields)  # nothing refers to a price
        made = self._ask("POST", PATHS[kind], _named(kind, fields))
        body = made.get(_WRAPPED.get(kind, ""), made)
        return Held(str(body["id"]), body)

    def update(self, kind: str, id: str, fields: Fields) -> Held:  # noqa: A002
        """Change the fields that are given; of a price this may make a new version."""
        body = self._ask("PUT", f"{PATHS[kind]}/{id}", fields)
        return Held(str(body.get("id", id)), body)

    def archive(self, kind: str, id: str) -> None:  # noqa: A002
        """Take it out of use."""
        self._ask("DELETE", f"{PATHS[kind]}/{id}", {} if kind == "price" else None)

    def finish(self) -> None:
        """Create the prices that wait."""
        waiting, self._prices = self._prices, []
        if waiting:
            self._ask("POST", "/prices/bulk", {"items": waiting})

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _all(self, method: str, path: str) -> Rows:
        found: Rows = []
        for _ in range(PAGES_MAX):
            asked = {"limit": PAGE, "offset": len(found)}
            query = f"?limit={PAGE}&offset={len(found)}" if method == "GET" else ""
            page = self._ask(method, path + query, asked if method == "POST" else None)
            items: Rows = page.get("items") or []
            found += [item.get("costsheet", item) for item in items]
            if len(items) < PAGE:
                return found
        raise StoreError(f"{path} has more than {PAGE * PAGES_MAX} entries, which is too many")

    def _ask(self, method: str, path: str, fields: Fields | None = None) -> dict[str, Any]:
        body = None if fields is None else json.dumps(fields).encode()
        answer = self._call(method, path, body)
        if not 200 <= answer.status < 300:
            raise InvalidOperationError(f"{method} {path}: {answer.reason()}")
        found = answer.json()
        return found if isinstance(found, dict) else {}

    def _call(self, method: str, path: str, body: bytes | None) -> Answer:
        answer = self._session.call(method, path, body)
        for attempt in range(RETRIES_MAX):
            if answer.status not in {429, 503}:
                break
            time.sleep(answer.retry_after_s or RETRY_S * 2**attempt)
            answer = self._session.call(method, path, body)
        return answer


def _named(kind: str, fields: Fields) -> Fields:
    """Say what the API calls by another name."""
    if kind == "entitlement" and "feature_type" not in fields:
        return {**fields, "feature_type": "static" if fields.get("static_value") else "metered"}
    return fields


def _as_written(kind: str, body: Mapping[str, Any]) -> Fields:
    """Bring an answer to the fields that a file writes."""
    fields = {k: v for k, v in body.items() if _FILLED.get(kind, {}).get(k, _MISSING) != v}
    for name in ("start_date", "end_date"):
        moment = moment_in(body, name)
        if moment is not None:
            fields[name] = moment.isoformat().replace("+00:00", "Z")
    if kind == "meter":  # our own server fills in names that the cloud does not know
        known = dict(body.get("aggregation") or {})
        fields["aggregation"] = {k: v for k, v in known.items() if k != "aliases"}
    if kind == "price" and body.get("price_unit_type") == "CUSTOM":
        return _in_its_unit(fields)
    return fields


def _in_its_unit(price: Fields) -> Fields:
    """Write a price in the unit it is sold in; the API converts it as well."""
    config = {ours: price[theirs] for theirs, ours in _IN_UNITS.items() if price.get(theirs)}
    kept = {k: v for k, v in price.items() if k not in {"amount", "tiers", *_IN_UNITS}}
    return {**kept, "price_unit_config": config}


_MISSING = object()
# The API's name of what a price in a custom unit says -> ours.
_IN_UNITS = {
    "price_unit": "price_unit",
    "price_unit_amount": "amount",
    "price_unit_tiers": "price_unit_tiers",
}


def _in_force(body: Mapping[str, Any], now: datetime) -> bool:
    end = moment_in(body, "end_date")
    published = body.get("status", "published") == "published"
    return published and (end is None or end > now) and body.get("scope", "PLAN") == "PLAN"
