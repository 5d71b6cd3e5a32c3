"""
The event of a plain success: an answer of the usual form to a call of the usual form.

Most exchanges are like that, and their event is written at once: what an `Observation` would
say beyond it (failures, sub-calls, estimates, jobs) is not there. `observation.events_of` is the
rule; tests compare the two over all recordings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from tokenmeter.attribution import UNATTRIBUTED
from tokenmeter.capture.observation import (
    CLOCK_SKEW_MAX,
    date_or,
    stated_moment,
    whole_ms,
    whose,
)
from tokenmeter.event import Event, Property
from tokenmeter.providers.base import Plain
from tokenmeter.providers.models import model_type

if TYPE_CHECKING:
    from tokenmeter.capture.exchange import Exchange

SKEW_MAX_S = CLOCK_SKEW_MAX.total_seconds()


def may_be_plain(exchange: Exchange) -> bool:
    """Say whether an answer of the usual form would be all that there is to an exchange."""
    sink, scope = exchange.sink, exchange.scope
    if exchange.is_draining or exchange.joined or exchange.call.repeated or sink.gateways:
        return False
    return sink.shape.is_plain and (scope is None or not scope.keeps_notes)


def plain_event(exchange: Exchange, answer: Plain, headers: Mapping[str, str]) -> Event:
    """
    Write the event of one attempt.

    `headers`: the answer's, if the exchange has not seen them yet.
    """
    call, attempt = exchange.call, exchange.attempt
    event_id, reused = exchange.event_id, False  # as it was announced
    if event_id is None:
        event_id, reused = exchange.sink.ids.of_create(call, answer.response_id, attempt)
    attribution = attempt.attribution
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
    return Event(
        _name(exchange),
        event_id,
        attribution.customer or UNATTRIBUTED,
        _moment(answer.created, exchange, headers),
        properties,
    )


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


def _name(exchange: Exchange) -> str:
    """Return the name that the user gave this call's event, or all of its kind, or ours."""
    name = exchange.call.api.event_name
    named = None if exchange.scope is None else exchange.scope.event_name
    return named or exchange.sink.shape.names.get(name, name)


def _moment(
    created: int | float | str | None, exchange: Exchange, headers: Mapping[str, str]
) -> datetime:
    """Return the provider's time, else the Date header, else now; in whole milliseconds."""
    now_s = time.time()
    if type(created) is int:
        if abs(created - now_s) <= SKEW_MAX_S:
            return _second(created)
    else:
        stated = stated_moment(created)
        if stated is not None and abs(stated.timestamp() - now_s) <= SKEW_MAX_S:
            return whole_ms(stated)
    date = exchange.date or headers.get("date")
    return whole_ms(date_or(date, datetime.fromtimestamp(now_s, UTC)))


@lru_cache(maxsize=64)
def _second(created: int) -> datetime:
    return datetime.fromtimestamp(created, UTC)
