"""What request bodies look like, for the OpenAPI document; the services check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DECIMAL: Schema = {"anyOf": [{"type": "string"}, {"type": "number"}]}
METADATA: Schema = {"type": "object", "additionalProperties": TEXT}
ANY: Schema = {}
VALUES: Schema = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": TEXT},
}


def one_of(*words: str) -> Schema:
    """Describe one of a few words."""
    return {"type": "string", "enum": list(words)}


def several(item: Schema, *, least: int = 0, most: int | None = None) -> Schema:
    """Describe a list."""
    bounds = {"minItems": least} | ({} if most is None else {"maxItems": most})
    return {"type": "array", "items": item, **bounds}


def fields(required: Sequence[str] = (), **properties: Schema) -> Schema:
    """Describe an object; fields that are not named are ignored."""
    return {"type": "object", "required": list(required), "properties": properties}


EVENT = fields(
    ("event_name", "external_customer_id"),
    event_name=NAME,
    external_customer_id=NAME,
    event_id=TEXT,
    timestamp=TIME,
    source=TEXT,
    properties={"type": "object", "additionalProperties": True},
)
FILTER = fields(("key", "values"), key=NAME, values=several(TEXT, least=1))
AGGREGATION = fields(
    ("type",),
    type=one_of(
        "COUNT",
        "SUM",
        "AVG",
        "MAX",
        "LATEST",
        "COUNT_UNIQUE",
        "SUM_WITH_MULTIPLIER",
        "WEIGHTED_SUM",
    ),
    field=TEXT,
    expression=TEXT,
    multiplier=DECIMAL,
    bucket_size=TEXT,
    group_by=TEXT,
    aliases=several(TEXT),
)
METER = fields(
    ("name", "event_name", "aggregation", "reset_usage"),
    name=NAME,
    event_name=NAME,
    aggregation=AGGREGATION,
    filters=several(FILTER),
    reset_usage=TEXT,
)
FEATURE = fields(
    ("name", "type"),
    name=NAME,
    type=one_of("metered", "boolean", "static", "config"),
    lookup_key=TEXT,
    meter_id=TEXT,
    meter=METER,
    description=TEXT,
    unit_singular=TEXT,
    unit_plural=TEXT,
    metadata=METADATA,
)
CUSTOMER = fields(
    ("external_id",),
    external_id=NAME,
    name=NAME,
    email={"type": "string", "format": "email"},
    timezone=TEXT,
    address_country=TEXT,
    metadata=METADATA,
)
PLAN = fields(
    ("name",),
    name=NAME,
    lookup_key=TEXT,
    description=TEXT,
    display_order=WHOLE,
    metadata=METADATA,
)
TIER = fields(("unit_amount",), up_to=WHOLE, unit_amount=DECIMAL, flat_amount=DECIMAL)
PRICE = fields(
    (
        "currency",
        "entity_type",
        "entity_id",
        "type",
        "billing_period",
        "billing_model",
        "invoice_cadence",
    ),
    currency=NAME,
    entity_type=one_of("PLAN", "SUBSCRIPTION", "ADDON", "PRICE", "COSTSHEET"),
    entity_id=NAME,
    type=one_of("USAGE", "FIXED"),
    price_unit_type=one_of("FIAT", "CUSTOM"),
    price_unit_config=fields(
        ("price_unit",), price_unit=NAME, amount=DECIMAL, price_unit_tiers=several(TIER)
    ),
    billing_period=one_of(
        "MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY", "ONETIME"
    ),
    billing_period_count=WHOLE,
    billing_model=one_of("FLAT_FEE", "PACKAGE", "TIERED"),
    invoice_cadence=one_of("ARREAR", "ADVANCE"),
    amount=DECIMAL,
    meter_id=TEXT,
    filter_values=VALUES,
    tier_mode=one_of("VOLUME", "SLAB"),
    tiers=several(TIER),
    transform_quantity=fields(("divide_by",), divide_by=WHOLE, round=one_of("up", "down")),
    lookup_key=TEXT,
    display_name=TEXT,
    start_date=TIME,
    end_date=TIME,
    metadata=METADATA,
)
PRICE_CHANGE = fields(
    amount=DECIMAL,
    billing_model=TEXT,
    tier_mode=TEXT,
    tiers=several(TIER),
    effective_from=TIME,
    display_name=TEXT,
    metadata=METADATA,
)
PRICE_UNIT = fields(
    ("name", "code", "symbol", "base_currency", "conversion_rate"),
    name=NAME,
    code=NAME,
    symbol=NAME,
    base_currency=NAME,
    conversion_rate=DECIMAL,
    metadata=METADATA,
)
ENTITLEMENT = fields(
    ("feature_id", "feature_type"),
    feature_id=NAME,
    feature_type=one_of("metered", "boolean", "static", "config"),
    plan_id=TEXT,
    entity_type=one_of("PLAN", "SUBSCRIPTION", "ADDON"),
    entity_id=TEXT,
    is_enabled=FLAG,
    usage_limit=DECIMAL,
    usage_reset_period=TEXT,
    is_soft_limit=FLAG,
    static_value=TEXT,
)
CREDIT_GRANT = fields(
    ("name", "scope", "credits", "cadence"),
    name=NAME,
    scope=one_of("PLAN", "SUBSCRIPTION", "ADDON"),
    plan_id=TEXT,
    subscription_id=TEXT,
    credits=DECIMAL,
    cadence=one_of("ONETIME", "RECURRING"),
    period=TEXT,
    period_count=WHOLE,
    expiration_type=one_of("NEVER", "DURATION", "BILLING_CYCLE"),
    expiration_duration=WHOLE,
    expiration_duration_unit=TEXT,
    priority=WHOLE,
    metadata=METADATA,
)
SUBSCRIPTION = fields(
    ("plan_id", "currency", "billing_period"),
    plan_id=NAME,
    currency=NAME,
    billing_period=NAME,
    customer_id=TEXT,
    external_customer_id=TEXT,
    billing_period_count=WHOLE,
    billing_cycle=one_of("anniversary", "calendar"),
    start_date=TIME,
    end_date=TIME,
    billing_anchor=TIME,
    commitment_amount=DECIMAL,
    overage_factor=DECIMAL,
    override_line_items=several({"type": "object"}),
    metadata=METADATA,
)
SUBSCRIPTION_USAGE = fields(
    ("subscription_id",),
    subscription_id=NAME,
    start_time=TIME,
    end_time=TIME,
    lifetime_usage=FLAG,
)
LINE_ITEM = fields(price_id=NAME, quantity=DECIMAL, start_date=TIME, effective_from=TIME)
CANCEL = fields(
    cancellation_type=one_of("immediate", "end_of_period", "scheduled_date"),
    cancel_at=TIME,
    cancel_immediately_invoice_policy=one_of("skip", "generate_invoice"),
)
WALLET = fields(
    ("currency",),
    currency=NAME,
    customer_id=TEXT,
    external_customer_id=TEXT,
    wallet_type=one_of("PRE_PAID", "POST_PAID"),
    conversion_rate=DECIMAL,
    initial_credits_to_load=DECIMAL,
    metadata=METADATA,
)
TOP_UP = fields(
    ("transaction_reason",),
    transaction_reason=NAME,
    credits_to_add=DECIMAL,
    amount=DECIMAL,
    expiry_date_utc=TIME,
    priority=WHOLE,
    idempotency_key=TEXT,
)
INVOICE = fields(("subscription_id",), subscription_id=NAME, period_start=TIME, period_end=TIME)
INVOICE_CHANGE = fields(
    due_date=TIME, invoice_pdf_url=TEXT, metadata=METADATA, apply_discount=FLAG
)
PAYMENT = fields(amount=DECIMAL, payment_status=TEXT)
HOLD = fields(
    ("amount",),
    id=TEXT,
    customer_id=TEXT,
    external_customer_id=TEXT,
    amount=DECIMAL,
    currency=TEXT,
    expires_s=DECIMAL,
    reference=TEXT,
    events=several(EVENT, least=1),
)
SETTLE = fields(("amount",), amount=DECIMAL, reference=TEXT, events=several(EVENT, least=1))
KEEP = fields(("reference",), reference=TEXT)
API_KEY = fields(
    ("name",),
    name=NAME,
    type=one_of("private_key", "publishable_key"),
    scopes=several(one_of("ingest", "read", "admin"), least=1),
    expires_at=TIME,
)
