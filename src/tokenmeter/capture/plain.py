"""
The event of a plain success: an answer of the usual form to a call of the usual form.

Most exchanges are like that, and their event is written at once: what an `Observation` would
say beyond it (failures, sub-calls, estimates, jobs) is not there. `observation.events_of` is the
rule; tests compare the two over all recordings.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from tokenmeter.attribution import NO_ATTRIBUTION, UNATTRIBUTED, Scope
from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.observation import (
    CLOCK_SKEW_MAX,
    date_or,
    stated_moment,
    whole_ms,
    whose,
)
from tokenmeter.capture.sink import Sink
from tokenmeter.event import Event, Property, made
from tokenmeter.providers.base import Call, Plain
from tokenmeter.providers.models import model_type

if TYPE_CHECKING:
    from tokenmeter.capture.exchange import Exchange

SKEW_MAX_S = CLOCK_SKEW_MAX.total_seconds()


class Ended(Protocol):
    """An attempt that is over: what its event is written from."""

    @property
    def sink(self) -> Sink:
        """The meter."""
        ...

    @property
    def scope(self) -> Scope | None:
        """Whose call it is."""
        ...

    @property
    def call(self) -> Call:
        """What was asked for."""
        ...

    @property
    def attempt(self) -> Attempt:
        """Which attempt of which call."""
        ...

    @property
    def event_id(self) -> str | None:
        """As it was announced."""
        ...


def may_be_plain(exchange: Exchange) -> bool:
    """Say whether an answer of the usual form would be all that there is to an exchange."""
    if exchange.is_draining or exchange.joined or exchange.call.repeated:
        return False
    return are_plain(exchange.sink, exchange.scope)


def are_plain(sink: Sink, scope: Scope | None) -> bool:
    """Say whether answers of the usual form are all that there is to calls made here."""
    usual = not sink.gateways and sink.shape.is_plain
    return usual and (scope is None or not scope.keeps_notes)


def plain_event(ended: Ended, answer: Plain, date: str | None) -> Event:
    """Write the event of one attempt; `date`: the answer's header."""
    sink, scope, call, attempt = ended.sink, ended.scope, ended.call, ended.attempt
    event_id, reused = ended.event_id, False  # as it was announced
    if event_id is None:
        event_id, reused = sink.ids.of_create(call, answer.response_id, attempt)
    attribution = NO_ATTRIBUTION if scope is None else scope.attribution
    properties: dict[str, Property] = {
        **_head(call.provider, answer.model, call.request_model, call.api.operation),
        "streamed": "true" if call.streamed else "false",
        **call.dimensions,
        **answer.dimensions,
        **answer.numbers,
        "request_count": 1,
        **whose(attribution, attempt.run_id),
        **attempt.facts(),
        "outcome": "success",
        "billable": "true" if call.billable else "false",
        "usage_source": "reported",
        "http_status": "200",
    }
    if reused:  # the provider's id belongs to an event already
        properties["id_reused"] = "true"
    # The name that the user gave this call's event, or all of its kind, or ours.
    named = None if scope is None else scope.event_name
    name = named or sink.shape.names.get(call.api.event_name, call.api.event_name)
    customer = attribution.customer or UNATTRIBUTED
    return made(name, event_id, customer, _moment(answer.created, date), properties)


@lru_cache(maxsize=1024)
def _head(
    provider: str, model: str, request_model: str | None, operation: str
) -> dict[str, Property]:
    """What all calls of one kind have in common; not to be changed."""
    found: dict[str, Property] = {
        "provider": provider,
        "model": model,
        "model_type": model_type(model),
    }
    if request_model:
        found["request_model"] = request_model
    found["operation"] = operation
    return found


def _moment(created: int | float | str | None, date: str | None) -> datetime:
    """Return the provider's time, else the Date header's, else now; in whole milliseconds."""
    now_s = time.time()
    if type(created) is int:
        if abs(created - now_s) <= SKEW_MAX_S:
            return _second(created)
    else:
        stated = stated_moment(created)
        if stated is not None and abs(stated.timestamp() - now_s) <= SKEW_MAX_S:
            return whole_ms(stated)
    now = datetime.fromtimestamp(int(now_s * 1000) / 1000, UTC)  # whole milliseconds
    return now if date is None else whole_ms(date_or(date, now))


@lru_cache(maxsize=64)
def _second(created: int) -> datetime:
    return datetime.fromtimestamp(created, UTC)
