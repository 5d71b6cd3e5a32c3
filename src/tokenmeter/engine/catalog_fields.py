"""What a catalog file may say of each kind, and how each value is read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenmeter.pricing.media_yaml import Node
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.meter import kind_of, reset_of
from tokenmeter.rating.rounding import plain

TRUTHS = {"true": True, "false": False}
Reader = Callable[[Node], Any]
Fields = Mapping[str, Any]


def _truth(node: Node) -> bool:
    return TRUTHS[node.choice(TRUTHS)]


def _amount(node: Node) -> str:
    return plain(node.amount())


def _moment(node: Node) -> str:
    return node.moment().isoformat().replace("+00:00", "Z")


def _bound(node: Node) -> str | None:
    return None if node.item.value in {"", "null", "~"} else plain(node.positive())


def _filter_values(node: Node) -> dict[str, list[str]]:
    return {key: list(value.texts()) for key, value in node.fields().items()}


def _filters(node: Node) -> list[dict[str, Any]]:
    return [{"key": k, "values": v} for k, v in _filter_values(node).items()]


def _metadata(node: Node) -> dict[str, str]:
    return {key: value.text() for key, value in node.fields().items()}


def _texts(node: Node) -> list[str]:
    return list(node.texts())


def _mapping(readers: Mapping[str, Reader]) -> Reader:
    def read(node: Node) -> dict[str, Any]:
        return {k: readers[k](v) for k, v in node.fields(readers).items()}

    return read


def _several(reader: Reader) -> Reader:
    return lambda node: [reader(item) for item in node.items()]


_TIERS = _several(_mapping({"up_to": _bound, "unit_amount": _amount, "flat_amount": _amount}))
_AGGREGATION = _mapping(
    {
        "type": Node.text,
        "field": Node.text,
        "aliases": _texts,
        "expression": Node.text,
        "multiplier": _amount,
        "bucket_size": Node.text,
        "group_by": Node.text,
    }
)
_TRANSFORM = _mapping({"divide_by": Node.whole, "round": Node.text})
_IN_UNIT = _mapping({"price_unit": Node.text, "amount": _amount, "price_unit_tiers": _TIERS})


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of definition: the fields that a file may write, in Flexprice's names.

    `key` is the field that identifies it, `refs` are fields of the file that name another
    definition by its key: (kind, the id's field in Flexprice). What a file leaves out has its
    default, or is absent.
    """

    readers: Mapping[str, Reader]
    key: str = "lookup_key"
    refs: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    defaults: Fields = field(default_factory=dict[str, Any])


_DESCRIBED: dict[str, Reader] = {
    "name": Node.text,
    "description": Node.text,
    "metadata": _metadata,
}

# In the order in which they are created: what is referred to comes first.
KINDS: Mapping[str, Kind] = {
    "price_unit": Kind(
        {
            "name": Node.text,
            "symbol": Node.text,
            "base_currency": Node.text,
            "conversion_rate": _amount,
            "metadata": _metadata,
        },
        key="code",
    ),
    "meter": Kind(
        {
            "event_name": Node.text,
            "aggregation": _AGGREGATION,
            "filters": _filters,
            "reset_usage": Node.text,
            "include_unbilled": _truth,
        },
        key="name",
        defaults={"reset_usage": "BILLING_PERIOD"},
    ),
    "feature": Kind(
        {
            **_DESCRIBED,
            "type": Node.text,
            "unit_singular": Node.text,
            "unit_plural": Node.text,
        },
        refs={"meter": ("meter", "meter_id")},
        defaults={"type": "metered"},
    ),
    "plan": Kind({**_DESCRIBED, "display_order": Node.whole}),
    "costsheet": Kind(_DESCRIBED),
    "price": Kind(
        {
            "display_name": Node.text,
            "description": Node.text,
            "metadata": _metadata,
            "currency": Node.text,
            "type": Node.text,
            "amount": _amount,
            "billing_model": Node.text,
            "billing_period": Node.text,
            "billing_period_count": Node.whole,
            "invoice_cadence": Node.text,
            "tier_mode": Node.text,
            "tiers": _TIERS,
            "transform_quantity": _TRANSFORM,
            "min_quantity": _amount,
            "price_unit_type": Node.text,
            "price_unit_config": _IN_UNIT,
            "filter_values": _filter_values,
            "start_date": _moment,
            "end_date": _moment,
        },
        refs={"meter": ("meter", "meter_id")},
        defaults={
            "type": "USAGE",
            "billing_model": "FLAT_FEE",
            "billing_period": "MONTHLY",
            "billing_period_count": 1,
            "invoice_cadence": "ARREAR",
            "price_unit_type": "FIAT",
        },
    ),
    "entitlement": Kind(
        {
            "usage_limit": _amount,
            "usage_reset_period": Node.text,
            "is_soft_limit": _truth,
            "is_enabled": _truth,
            "static_value": Node.text,
        },
        key="",
        refs={"feature": ("feature", "feature_id")},
        defaults={"is_enabled": True},
    ),
    "credit_grant": Kind(
        {
            "credits": _amount,
            "cadence": Node.text,
            "period": Node.text,
            "period_count": Node.whole,
            "expiration_type": Node.text,
            "expiration_duration": Node.whole,
            "expiration_duration_unit": Node.text,
            "priority": Node.whole,
            "metadata": _metadata,
        },
        key="name",
        defaults={"cadence": "ONETIME", "expiration_type": "NEVER"},
    ),
}


def in_one_spelling(meter: dict[str, Any]) -> dict[str, Any]:
    """Periodic is BILLING_PERIOD, UNIQUE_COUNT is COUNT_UNIQUE; a cloud may hold other words."""
    rule = meter.get("aggregation")
    with contextlib.suppress(RatingError):
        meter = {**meter, "reset_usage": str(reset_of(str(meter.get("reset_usage"))))}
    with contextlib.suppress(RatingError):
        if isinstance(rule, Mapping):
            kind = str(kind_of(str(rule.get("type"))))
            meter = {**meter, "aggregation": {**rule, "type": kind}}
    return meter
