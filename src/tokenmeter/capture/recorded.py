"""Events that the user records by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tokenmeter.attribution import NO_ATTRIBUTION, UNATTRIBUTED, Scope
from tokenmeter.capture.retries import new_id
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event, Property
from tokenmeter.providers.models import model_type
from tokenmeter.usage import METRICS, Number


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the user says was used."""

    event_name: str
    usage: Mapping[str, Number]
    dimensions: Mapping[str, str | None]
    customer: str | None = None
    timestamp: datetime | None = None
    event_id: str | None = None


def recorded_event(recorded: Recorded, scope: Scope | None, now: datetime) -> Event:
    """Build the event; raises ConfigurationError for what is no usage."""
    if not recorded.event_name:
        raise ConfigurationError("an event needs a name; use one such as 'text_generated'")
    attribution = NO_ATTRIBUTION if scope is None else scope.attribution
    properties: dict[str, Property] = {
        name: _dimension(value) for name, value in recorded.dimensions.items() if value is not None
    }
    model = properties.get("model")
    if isinstance(model, str):
        properties.setdefault("model_type", model_type(model))
    properties.update({metric: _number(metric, n) for metric, n in recorded.usage.items()})
    properties.setdefault("outcome", "success")
    properties.setdefault("billable", "true")
    properties.setdefault("usage_source", "reported")
    properties["request_count"] = 1
    for name in ("feature", "environment"):
        value = getattr(attribution, name)
        if value:
            properties.setdefault(name, value)
    for tag, value in attribution.tags.items():
        properties.setdefault(f"tag_{tag}", value)
    if scope is not None and scope.run is not None:
        properties["run_id"] = scope.run.run_id
    return Event(
        recorded.event_name,
        recorded.event_id or new_id("evt_"),
        recorded.customer or attribution.customer or UNATTRIBUTED,
        _utc(recorded.timestamp, now),
        properties,
    )


def _dimension(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(metric: str, number: object) -> Number:
    """Check one metric: a known name, and a finite number that is not negative."""
    if metric not in METRICS:
        raise ConfigurationError(
            f"{metric!r} is not a metric; use one of tokenmeter.METRICS such as 'image_count', "
            "or pass it as a dimension"
        )
    if isinstance(number, float):
        number = Decimal(repr(number))
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise ConfigurationError(f"{metric} must be a number, not {type(number).__name__}")
    if isinstance(number, Decimal) and not number.is_finite():
        raise ConfigurationError(f"{metric} must be finite")
    if number < 0:
        raise ConfigurationError(f"{metric} must not be negative; got {number}")
    return number


def _utc(timestamp: datetime | None, now: datetime) -> datetime:
    if timestamp is None:
        return now
    if timestamp.tzinfo is None:
        raise ConfigurationError("timestamp needs a time zone; use datetime.now(UTC)")
    return timestamp.astimezone(UTC)
