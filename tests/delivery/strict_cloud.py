"""
Flexprice's cloud as facts/flexprice.md says it is today, strict where it is strict.

`filter_values` are dropped, a lookup_key that exists is a 409, a price unit's code that a price
uses has three letters, copies of an event collapse only if id, customer and timestamp agree,
properties are compared as text, every price bills all that its meter counts, and each line is
rounded half away from zero. Written from the facts, without tokenmeter's rating.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.delivery.cloud import KEY, Reply, Request, error

Body = dict[str, Any]
KINDS = {
    "/prices/units": ("price_unit", "code", "price_unit"),
    "/meters": ("meter", "", "meter"),
    "/features": ("feature", "lookup_key", "feat"),
    "/plans": ("plan", "lookup_key", "plan"),
    "/costs": ("costsheet", "lookup_key", "cost"),
    "/prices": ("price", "lookup_key", "price"),
    "/entitlements": ("entitlement", "", "ent"),
    "/creditgrants": ("credit_grant", "", "cg"),
}
REQUIRED = {
    "meter": ("name", "event_name", "aggregation", "reset_usage"),
    "price": (
        *("currency", "entity_type", "entity_id", "type", "price_unit_type", "billing_period"),
        *("billing_period_count", "billing_model", "invoice_cadence"),
    ),
    "plan": ("name",),
    "feature": ("name", "type"),
    "price_unit": ("name", "code", "symbol", "base_currency", "conversion_rate"),
    "costsheet": ("name",),
    "entitlement": ("feature_id", "feature_type"),
    "credit_grant": ("name", "scope", "credits", "cadence"),
}
AGGREGATIONS = {"COUNT", "SUM", "AVG", "MAX", "LATEST", "COUNT_UNIQUE", "SUM_WITH_MULTIPLIER"}


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = error(status, code, message)


@dataclass
class StrictCloud:
    held: dict[str, dict[str, Body]] = field(default_factory=dict[str, dict[str, Body]])
    events: dict[tuple[str, str, str], Body] = field(
        default_factory=dict[tuple[str, str, str], Body]
    )
    made: int = 0
    changes: int = 0  # requests that created, changed or deleted something

    def behave(self, request: Request) -> Reply:
        if request.headers.get("x-api-key") != KEY:
            return Reply(401, {"error": "Unauthorized"})
        url = urlsplit(request.path)
        path = url.path.removeprefix("/v1")
        fields: Body = json.loads(request.body) if request.body else {}
        try:
            return self._answer(request.method, path, fields, parse_qs(url.query))
        except Refused as refused:
            return refused.reply

    def _answer(self, method: str, path: str, fields: Body, query: dict[str, list[str]]) -> Reply:
        if path == "/events/bulk":
            return self._ingest(fields["events"])
        if path == "/prices/bulk":
            if not 0 < len(fields["items"]) <= 100:
                raise Refused(400, "validation_error", "1 to 100 prices")
            items = [self._create("price", each) for each in fields["items"]]
            return Reply(201, {"items": items})
        owner, _, last = path.rpartition("/")
        if method == "POST" and path in KINDS:
            kind = KINDS[path][0]
            body = self._create(kind, fields)
            return Reply(201, {"costsheet": body} if kind == "costsheet" else body)
        if path in KINDS or last == "search":
            return self._listed(KINDS[path if path in KINDS else owner][0], fields, query)
        if last == "creditgrants":
            plan = owner.rpartition("/")[2]
            grants = [g for g in self.of("credit_grant") if g["plan_id"] == plan]
            return _page(grants, 0, 1_000)
        return self._one(method, KINDS[owner][0], last, fields)

    def of(self, kind: str) -> list[Body]:
        return [b for b in self.held.get(kind, {}).values() if b["status"] == "published"]

    def _listed(self, kind: str, fields: Body, query: dict[str, list[str]]) -> Reply:
        asked = {**{k: int(v[0]) for k, v in query.items()}, **fields}
        limit = int(asked.get("limit", 50))
        if not 1 <= limit <= 1_000:
            raise Refused(400, "validation_error", "limit is 1 to 1000")
        found = [{"costsheet": b} if kind == "costsheet" else b for b in self.of(kind)]
        return _page(found, int(asked.get("offset", 0)), limit)

    def _one(self, method: str, kind: str, id_: str, fields: Body) -> Reply:
        body = self.held.get(kind, {}).get(id_)
        if body is None:
            raise Refused(404, "not_found", f"{kind} not found")
        self.changes += method != "GET"
        if method == "DELETE":
            body["status"] = "archived"
            return Reply(200, {"message": "deleted"})
        if method == "PUT":
            body |= {k: v for k, v in fields.items() if k != "filter_values"}
        return Reply(200, body)

    def _create(self, kind: str, fields: Body) -> Body:
        for name in REQUIRED[kind]:
            if fields.get(name) in (None, ""):
                raise Refused(400, "validation_error", f"{name} is required")
        unique = next(key for k, key, _ in KINDS.values() if k == kind)
        if unique and any(b.get(unique) == fields[unique] for b in self.of(kind)):
            raise Refused(409, "already_exists", f"{unique} {fields[unique]} exists already")
        check: Callable[[Body], Body] | None = getattr(self, f"_check_{kind}", None)
        checked = check(fields) if check else fields
        self.made += 1
        self.changes += 1
        prefix = next(p for k, _, p in KINDS.values() if k == kind)
        body = {**checked, "id": f"{prefix}_{self.made}", "status": "published"}
        self.held.setdefault(kind, {})[body["id"]] = body
        return body

    def _check_meter(self, fields: Body) -> Body:
        aggregation = fields["aggregation"]
        if aggregation["type"] not in AGGREGATIONS:
            raise Refused(400, "validation_error", "invalid aggregation type")
        if any(not each["values"] for each in fields.get("filters", [])):
            raise Refused(400, "validation_error", "filter values are required")
        known = ("type", "field", "multiplier", "expression", "bucket_size", "group_by")
        return {**fields, "aggregation": {k: v for k, v in aggregation.items() if k in known}}

    def _check_price(self, fields: Body) -> Body:
        if fields["type"] == "USAGE" and fields.get("meter_id") not in self.held.get("meter", {}):
            raise Refused(400, "validation_error", "meter not found")
        body = {k: v for k, v in fields.items() if k not in {"filter_values", "price_unit_config"}}
        if fields["billing_model"] == "TIERED" and not fields.get("tiers"):
            raise Refused(400, "validation_error", "tiers are required")
        if fields["price_unit_type"] == "FIAT":
            if fields["billing_model"] != "TIERED" and fields.get("amount") is None:
                raise Refused(400, "validation_error", "amount is required")
            return {
                **body,
                "tiers": fields.get("tiers"),
                "transform_quantity": fields.get("transform_quantity") or {},
            }
        config = fields["price_unit_config"]
        if len(config["price_unit"]) != 3:
            raise Refused(400, "validation_error", "price_unit must have 3 letters")
        unit = next((u for u in self.of("price_unit") if u["code"] == config["price_unit"]), None)
        if unit is None or unit["base_currency"].lower() != fields["currency"]:
            raise Refused(400, "validation_error", "price unit does not fit")
        amount = Decimal(config["amount"])
        return {
            **body,
            "price_unit": config["price_unit"],
            "price_unit_amount": config["amount"],
            "conversion_rate": unit["conversion_rate"],
            "amount": str(amount * Decimal(unit["conversion_rate"])),
        }

    def _check_feature(self, fields: Body) -> Body:
        if fields.get("type") == "metered" and fields.get("meter_id") not in self.held.get(
            "meter", {}
        ):
            raise Refused(400, "validation_error", "meter not found")
        return fields

    def _ingest(self, events: list[Body]) -> Reply:
        if not 0 < len(events) <= 1_000:
            raise Refused(400, "validation_error", "between 1 and 1000 events are required")
        for each in events:
            place = each["event_id"], each["external_customer_id"], each["timestamp"]
            self.events[place] = each  # the last one ingested wins
        return Reply(202, {"message": "Events accepted for processing"})

    def invoice(self, customer: str, plan: str) -> dict[str, Decimal]:
        """The lines of everything that a customer used, by the price's key."""
        (owner,) = [p for p in self.of("plan") if p["lookup_key"] == plan]
        lines: dict[str, Decimal] = {}
        for price in self.of("price"):
            if price["entity_id"] == owner["id"] and price["type"] == "USAGE":
                meter = self.held["meter"][price["meter_id"]]
                free = self._included(owner["id"], price["meter_id"])
                amount = _cost(price, max(self._quantity(meter, customer) - free, Decimal(0)))
                lines[price["lookup_key"]] = amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
        return lines

    def _included(self, plan_id: str, meter_id: str) -> Decimal:
        features = [f["id"] for f in self.of("feature") if f.get("meter_id") == meter_id]
        limits = [
            Decimal(e["usage_limit"])
            for e in self.of("entitlement")
            if e["feature_id"] in features and e["plan_id"] == plan_id
        ]
        return sum(limits, Decimal(0))

    def _quantity(self, meter: Body, customer: str) -> Decimal:
        numbers = list(self._quantities(meter, customer))
        kind = meter["aggregation"]["type"]
        if kind == "COUNT":
            return Decimal(len(numbers))
        if kind == "MAX":
            return max(numbers, default=Decimal(0))
        assert kind == "SUM", kind
        return sum(numbers, Decimal(0))

    def _quantities(self, meter: Body, customer: str) -> Iterator[Decimal]:
        for event in self.events.values():
            properties = event["properties"]
            fits = all(
                f["key"] in properties and _go_text(properties[f["key"]]) in f["values"]
                for f in meter.get("filters", [])
            )
            named = event["event_name"] == meter["event_name"]
            if fits and named and event["external_customer_id"] == customer:
                yield max(
                    _number(properties.get(meter["aggregation"].get("field", ""))), Decimal(0)
                )


def _page(found: list[Body], offset: int, limit: int) -> Reply:
    items = found[offset : offset + limit]
    total = {"total": len(found), "limit": limit, "offset": offset + limit}
    return Reply(200, {"items": items, "pagination": total})


def _go_text(value: object) -> str:
    """Go's %v of a decoded JSON value."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        number = float(value)
        if number and not 1e-4 <= abs(number) < 1e6:
            mantissa, exponent = f"{number:e}".split("e")
            return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent):+03d}"
        return f"{number:g}" if number != int(number) else str(int(number))
    return str(value)


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or value is None:
        return Decimal(0)
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return Decimal(0)


def _cost(price: Body, quantity: Decimal) -> Decimal:
    if not quantity:
        return Decimal(0)
    if price["billing_model"] == "FLAT_FEE":
        return quantity * Decimal(price["amount"])
    if price["billing_model"] == "PACKAGE":
        packages = quantity / Decimal(price["transform_quantity"]["divide_by"])
        return packages.to_integral_value(ROUND_CEILING) * Decimal(price["amount"])
    return _tiered(price, quantity)


def _tiered(price: Body, quantity: Decimal) -> Decimal:
    total, start, left = Decimal(0), Decimal(0), quantity
    for tier in price["tiers"]:
        bound = None if tier.get("up_to") is None else Decimal(tier["up_to"])
        unit, flat = Decimal(tier["unit_amount"]), Decimal(tier.get("flat_amount") or 0)
        if price["tier_mode"] == "VOLUME":
            if bound is None or quantity <= bound:
                return quantity * unit + flat
            continue
        part = left if bound is None else min(left, bound - start)
        total, start, left = total + part * unit + flat, bound or start, left - part
        if left <= 0:
            break
    return total
