"""Events that the user records by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

from tokenmeter.attribution import NO_ATTRIBUTION, UNATTRIBUTED, Scope
from tokenmeter.capture.observation import whole_ms
from tokenmeter.capture.retries import new_id
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event, Property
from tokenmeter.providers.models import model_type
from tokenmeter.usage import METRICS, Number

NUMBER_LIMIT = 10**18  # exclusive; more of anything is a mistake
DECIMALS_MAX = 30
NOT_BILLED = frozenset({"failed", "unknown"})  # unless the user says so
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    check(recorded)
    attribution = NO_ATTRIBUTION if scope is None else scope.attribution
    properties = _properties(recorded)
    for name in ("feature", "environment"):
        value = getattr(attribution, name)
        if value:
            properties.setdefault(name, value)
    for tag, value in attribution.tags.items():
        properties.setdefault(f"tag_{tag}", value)
    if scope is not None:
        _mark(scope, properties)
    return Event(
        recorded.event_name,
        recorded.event_id or new_id("evt_"),
        recorded.customer or attribution.customer or UNATTRIBUTED,
        _utc(recorded.timestamp, now),
        properties,
    )


def _mark(scope: Scope, properties: dict[str, Property]) -> None:
    """Name the run; and a decorated function that records by hand has been observed."""
    if scope.run is not None:
        properties["run_id"] = scope.run.run_id
    for level in scope.chain():
        level.observed += 1


def _properties(recorded: Recorded) -> dict[str, Property]:
    properties: dict[str, Property] = {
        name: dimension(value) for name, value in recorded.dimensions.items() if value is not None
    }
    model = properties.get("model")
    if isinstance(model, str):
        properties.setdefault("model_type", model_type(model))
    outcome = properties.setdefault("outcome", "success")
    properties.setdefault("billable", "false" if outcome in NOT_BILLED else "true")
    properties.setdefault("usage_source", "reported")
    properties["request_count"] = 1
    return {**properties, **{name: metric_number(name, n) for name, n in recorded.usage.items()}}


def check(recorded: Recorded) -> None:
    """Refuse what no backend could keep, while the user can still correct it."""
    if not recorded.event_name:
        raise ConfigurationError("an event needs a name; use one such as 'text_generated'")
    if not isinstance(cast(object, recorded.usage), Mapping):
        raise ConfigurationError("usage must map metrics to numbers, as {'image_count': 1}")
    for name in METRICS & recorded.dimensions.keys():
        raise ConfigurationError(f"{name} is a metric; pass it as usage={{{name!r}: ...}}")
    _check_texts(recorded)


def _check_texts(recorded: Recorded) -> None:
    for name in ("event_name", "customer", "event_id"):
        value: object = getattr(recorded, name)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    texts = (recorded.event_name, recorded.customer, recorded.event_id)
    if any(_is_broken(str(text)) for text in (*texts, *recorded.dimensions.values())):
        raise ConfigurationError("a text holds a NUL or half a character; clean it first")


def _is_broken(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text)


def dimension(value: object) -> str:
    """Write a dimension as filters compare it: True is "true"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def metric_number(metric: str, number: object) -> Number:
    """Check one metric: a known name, and a finite number that is neither negative nor huge."""
    if metric not in METRICS:
        raise ConfigurationError(
            f"{metric!r} is not a metric; use one of tokenmeter.METRICS such as 'image_count', "
            "or pass it as a dimension"
        )
    if isinstance(number, float):
        number = Decimal(float.__repr__(number))
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise ConfigurationError(f"{metric} must be a number, not {type(number).__name__}")
    _check_range(metric, number)
    return number


def _check_range(metric: str, number: Number) -> None:
    exponent = number.as_tuple().exponent if isinstance(number, Decimal) else 0
    if not isinstance(exponent, int):  # NaN and infinity have a letter there
        raise ConfigurationError(f"{metric} must be finite")
    if number < 0:
        raise ConfigurationError(f"{metric} must not be negative")
    if number >= NUMBER_LIMIT or exponent < -DECIMALS_MAX:
        raise ConfigurationError(
            f"{metric} must be less than {NUMBER_LIMIT} and have at most {DECIMALS_MAX} decimals"
        )


def _utc(timestamp: datetime | None, now: datetime) -> datetime:
    if timestamp is None:
        return whole_ms(now)
    if getattr(timestamp, "tzinfo", None) is None:
        raise ConfigurationError("timestamp needs a time and its zone; use datetime.now(UTC)")
    if timestamp < EPOCH:
        raise ConfigurationError("timestamp lies before 1970; use the time of the usage")
    return whole_ms(timestamp.astimezone(UTC))
