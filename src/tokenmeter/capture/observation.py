"""What was seen of one exchange, and the events that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from tokenmeter.attribution import NO_ATTRIBUTION, UNATTRIBUTED, Attribution
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event, Property, event_id_of
from tokenmeter.frozen import value
from tokenmeter.providers.base import NO_READING, Call, Part, Reading
from tokenmeter.providers.models import model_type
from tokenmeter.usage import Usage

Outcome = Literal["success", "failed", "cancelled", "unknown"]
UsageSource = Literal["reported", "partial", "estimated", "missing"]

FAILED_FROM = 300  # HTTP status, inclusive: who is sent elsewhere has no answer
REPORTED_COST = "reported_cost_usd"  # what the provider says it charged
CLOCK_SKEW_MAX = timedelta(hours=24)  # a provider's time further off counts only for jobs


@value(frozen=True, slots=True)
class Observation:
    """One attempt, closed: what was asked, what was reported, how it ended, whose it is."""

    call: Call
    call_id: str
    reading: Reading = NO_READING
    outcome: Outcome = "success"
    usage_source: UsageSource = "reported"
    attribution: Attribution = NO_ATTRIBUTION
    run_id: str | None = None
    attempt: int = 1
    retry_of: str | None = None
    http_status: int | None = None
    error_type: str | None = None
    date: str | None = None  # the HTTP Date header
    flags: frozenset[str] = field(default_factory=frozenset[str])
    event_id: str | None = None  # as it was announced before the end
    joined: bool = False  # the event is our own gateway's, and on its way from there

    @property
    def provider(self) -> str:
        """The provider's name: ``openai``."""
        return self.call.provider

    @property
    def model(self) -> str | None:
        """The model that answered, else the one that was asked for."""
        return self.reading.model or self.call.request_model

    @property
    def usage(self) -> Usage:
        """The metrics of the exchange itself, without hidden sub-calls."""
        return self.reading.usage


def default_billable(observation: Observation) -> bool:
    """Bill success, and cancelled calls whose usage is known; not what failed."""
    if observation.outcome == "success":
        return observation.call.billable
    return observation.outcome == "cancelled" and observation.usage_source != "missing"


def raised(error: BaseException) -> None:
    """Let whoever asks see the fault."""
    raise error


@dataclass(frozen=True, slots=True)
class Shape:
    """How observations are written as events."""

    billable: Callable[[Observation], bool] = default_billable
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    tokens_total: bool = False
    fault: Callable[[BaseException], None] = raised  # what becomes of a rule that raises
    is_renamed: bool = False  # by the user, for this one call
    is_plain: bool = field(init=False, repr=False, compare=False)  # no look at a plain success

    def __post_init__(self) -> None:
        plain = self.billable is default_billable and not self.tokens_total
        object.__setattr__(self, "is_plain", plain)

    @property
    def is_usual(self) -> bool:
        """Whether a call is one event, by its usual name."""
        return not self.names and not self.tokens_total

    def written(self, event: Event) -> tuple[Event, ...]:
        """Return an event by its usual name as the events that are delivered."""
        name = self.names.get(event.event_name)
        renamed = event if name is None else replace(event, event_name=name)
        return tuple(_directions(renamed)) if self.tokens_total else (renamed,)

    def renamed(self, name: str, by: str) -> Shape:
        """Return this shape for a call whose event the user has named."""
        return replace(self, names={**self.names, name: by}, is_renamed=True)


def shape_of(
    billable: Callable[[Observation], bool],
    names: Mapping[str, str],
    shape: str,
    fault: Callable[[BaseException], None],
) -> Shape:
    """Return the shape of this name: flexprice, tokens_total; raises ConfigurationError."""
    if shape not in {"flexprice", "tokens_total"}:
        raise ConfigurationError(f"shape={shape!r} is unknown; use 'flexprice' or 'tokens_total'")
    return Shape(billable, _names_of(names), shape == "tokens_total", fault)


def _names_of(given: object) -> dict[str, str]:
    names = given if isinstance(given, Mapping) else None
    if names is None or not all(isinstance(n, str) and n.strip() for n in names.values()):
        raise ConfigurationError(
            f"names={given!r:.80} must be a mapping of texts: {{'text_generated': 'chat'}}"
        )
    return dict(names)


def provider_id(provider: str, response_id: str) -> str:
    """Return the event id of a thing that the provider names for all time."""
    return event_id_of(f"{provider}/{response_id}")


def events_of(
    observation: Observation, event_id: str, shape: Shape, now: datetime
) -> Iterator[Event]:
    """Yield the events of one attempt: its own, and one per hidden sub-call."""
    customer = observation.attribution.customer or UNATTRIBUTED
    moment = whole_ms(timestamp_of(observation, now))
    common = _common(observation, shape)
    call, reading = observation.call, observation.reading
    own = Part("", reading.usage, observation.model, reading.event_name, reading.dimensions)
    for part in (own, *reading.parts):
        name = part.event_name or call.api.event_name
        properties = _properties(observation, part, common)
        part_id = f"{event_id}-{part.name}" if part.name else event_id
        event = Event(shape.names.get(name, name), part_id, customer, moment, properties)
        yield from _directions(event) if shape.tokens_total else (event,)


def _properties(
    observation: Observation, part: Part, common: Mapping[str, Property]
) -> dict[str, Property]:
    call = observation.call
    properties: dict[str, Property] = {"provider": call.provider}
    model = part.model or observation.model
    if model:
        properties["model"] = model
        properties["model_type"] = model_type(model)
    asked = call.request_model
    if part.name and part.model and part.model != observation.model:
        asked = part.model  # nobody asked the call's own model for this: it is not priced by it
    if asked:
        properties["request_model"] = asked
    properties["operation"] = call.api.operation
    properties["streamed"] = "true" if call.streamed else "false"
    if part.name:
        properties["part"] = part.name
    else:
        properties.update(call.dimensions)
    properties.update(part.dimensions)
    properties.update(part.usage.to_dict())
    if not part.name:
        properties["request_count"] = 1
        if observation.reading.cost is not None:
            properties[REPORTED_COST] = observation.reading.cost
    properties.update(common)
    return properties


def _common(observation: Observation, shape: Shape) -> dict[str, Property]:
    """The properties that all events of an attempt share."""
    found = whose(observation.attribution, observation.run_id)
    found["call_id"] = observation.call_id
    found["attempt"] = observation.attempt
    if observation.attempt > 1:
        found["is_retry"] = "true"
    if observation.retry_of is not None:
        found["retry_of"] = observation.retry_of
    found["outcome"] = observation.outcome
    billable, fault = _billable(observation, shape)
    found["billable"] = "true" if billable else "false"
    found["usage_source"] = observation.usage_source
    if observation.http_status is not None:
        found["http_status"] = str(observation.http_status)
    if observation.error_type is not None:
        found["error_type"] = observation.error_type
    flags = observation.flags | observation.reading.flags | fault
    if flags:
        found["flags"] = ",".join(sorted(flags))
    return found


def _billable(observation: Observation, shape: Shape) -> tuple[bool, frozenset[str]]:
    """Ask the user's rule; where it raises, the default one decides, and the event says so."""
    try:
        return bool(shape.billable(observation)), frozenset()
    except Exception as error:  # noqa: BLE001 - the user's own code: no event may be lost by it
        shape.fault(error)
        return default_billable(observation), frozenset({"policy_fault"})


def whose(attribution: Attribution, run_id: str | None) -> dict[str, Property]:
    """Return the properties that say who asked, and in which run."""
    tags = attribution.tags
    found: dict[str, Property] = {f"tag_{n}": tag for n, tag in tags.items()} if tags else {}
    if attribution.feature is not None:
        found["feature"] = attribution.feature
    if attribution.environment is not None:
        found["environment"] = attribution.environment
    if run_id is not None:
        found["run_id"] = run_id
    return found


def _directions(event: Event) -> Iterator[Event]:
    """
    Write an event in the second shape: one `tokens_total` event per direction.

    Each keeps the parts of its own direction, so it can be priced; what has no direction
    (searches, images) stays with the first.
    """
    usage = event.usage
    sides = [side for side in ("input", "output") if f"{side}_tokens" in usage]
    if not sides:
        yield event
        return
    rest = {k: v for k, v in event.properties.items() if k not in usage}
    for side in sides:
        kept = {
            metric: number
            for metric, number in usage.items()
            if metric != "total_tokens" and (side == "output") == _is_output(metric)
        }
        own: dict[str, Property] = {"prompt_type": side, "tokens": usage[f"{side}_tokens"]}
        if side != sides[0]:
            rest.pop(REPORTED_COST, None)  # what the provider charged, it charged once
        yield Event(
            "tokens_total",
            f"{event.event_id}-{side}",
            event.external_customer_id,
            event.timestamp,
            {**rest, **own, **kept},
        )


def _is_output(metric: str) -> bool:
    return metric.startswith(("output_", "reasoning", "accepted", "rejected")) and (
        metric != "output_count"
    )


def timestamp_of(observation: Observation, now: datetime) -> datetime:
    """Return the provider's time, else the Date header, else `now`."""
    stated = stated_moment(observation.reading.created)
    if stated is not None and (observation.call.repeated or abs(stated - now) <= CLOCK_SKEW_MAX):
        return stated
    return date_or(observation.date, now)


def whole_ms(moment: datetime) -> datetime:
    """Return a time as it is written."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def date_or(date: str | None, now: datetime) -> datetime:
    """Return the time of a Date header; `now` if it says none that can be."""
    sent = _parsed_date(date) if date else None
    if sent is not None and abs(sent - now) <= CLOCK_SKEW_MAX:
        return sent
    return now


def stated_moment(created: int | float | str | None) -> datetime | None:
    """Return the time that an answer states; None if it is none."""
    try:
        if isinstance(created, str):
            moment = datetime.fromisoformat(created)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return None if created is None else datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=64)
def _parsed_date(header: str) -> datetime | None:
    from email.utils import parsedate_to_datetime  # here to keep our import light

    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, TypeError):
        return None
