"""Jobs that are settled by hand: the body of a webhook, or of a poll that no tap has seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeAlias

from tokenmeter.attribution import NO_ATTRIBUTION, Scope, current_scope
from tokenmeter.capture.observation import Observation
from tokenmeter.capture.reader import fold_parsed
from tokenmeter.capture.retries import new_id
from tokenmeter.capture.returned import as_wire
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.sources import source_of
from tokenmeter.capture.witness import Witness
from tokenmeter.errors import ConfigurationError, JobError
from tokenmeter.event import Event
from tokenmeter.jobs import Jobs
from tokenmeter.providers import adapters
from tokenmeter.providers.base import NO_READING, Call, Json, Reading

# For the submit of a job that nobody knows yet: it may be in the journal of a killed process.
UNKNOWN_WAIT_S = 2.0
BODY_BYTES_MAX = 32 * 1024 * 1024  # a longer text is no webhook
# Another name -> the adapter that reads its bodies, which say which of the two it is.
_ALSO = {"google-vertex": "google"}
_ALIKE = {"azure": "openai"}  # here they do not

Recogniser: TypeAlias = Callable[[Json], Call | None]


class Meter(Sink, Protocol):
    """A meter that keeps jobs."""

    jobs: Jobs

    def flush(self, timeout_s: float) -> bool:
        """Deliver what is in the journal, and what ended processes have left."""
        ...

    def priced(self, event: Event) -> Event:
        """Return an event with its cost."""
        ...


def settle_job(meter: Meter, provider: str, payload: object) -> Event | None:
    """
    Settle the job that a body tells of: its event, or None if the job goes on.

    Who pays, and what only the request said, comes from the submit; the customer named around
    this call counts where nobody has seen one. The same body again is the same event.
    Raises JobError for what is no such body, ConfigurationError for an unknown provider.
    """
    recognise = _recogniser(provider)
    call, reading = _read(provider, recognise, _body(payload))
    if reading.state not in ("success", "failed"):
        return None
    scope = current_scope()
    witness = Witness(scope)
    observation = _observation(call, reading, scope)
    meter.observed(observation, witness.scope)
    event = next(iter(witness.events), None)
    if not meter.jobs.knows(observation):
        meter.flush(UNKNOWN_WAIT_S)
    return None if event is None else meter.priced(meter.jobs.sight(event, observation))


def _body(payload: object) -> Json:
    """Return a body's JSON object; what cannot be read is an error of the sender's."""
    if isinstance(payload, str | bytes | bytearray):
        payload = _parsed(payload)
    body = as_wire(payload)
    if not body:
        raise JobError(
            "a webhook's body is a JSON object that is not empty; "
            "pass it as bytes, text or a dict. "
            "The job stays pending"
        )
    return body


def _parsed(payload: str | bytes | bytearray) -> object:
    if len(payload) > BODY_BYTES_MAX:
        raise JobError(f"a webhook has at most {BODY_BYTES_MAX} bytes; the job stays pending")
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise JobError("this webhook's body is no JSON; the job stays pending") from error


def _recogniser(provider: str) -> Recogniser:
    known = {a.name: a.webhook for a in adapters() if a.webhook is not None}
    recognise = known.get({**_ALSO, **_ALIKE}.get(provider, provider))
    if recognise is None:
        raise ConfigurationError(
            f"no webhooks are known of {str(provider)[:40]!r}; use one of "
            f"{', '.join(sorted({*known, *_ALSO, *_ALIKE}))}"
        )
    return recognise


def _read(provider: str, recognise: Recogniser, body: Json) -> tuple[Call, Reading]:
    call = recognise(body)
    if call is None:
        raise JobError(
            f"this is no webhook of {provider}: it names no job, or no state of one. "
            "The job stays pending"
        )
    if provider in _ALIKE:
        call = replace(call, provider=provider)
    reading = call.api.settle(fold_parsed(call.api, NO_READING, body), call)
    return call, replace(reading, raw={})


def _observation(call: Call, reading: Reading, scope: Scope | None) -> Observation:
    failed = reading.state == "failed"
    return Observation(
        call,
        new_id("call_"),
        reading,
        "failed" if failed else "success",
        source_of(reading, call),
        NO_ATTRIBUTION if scope is None else scope.attribution,
        None if scope is None or scope.run is None else scope.run.run_id,
        error_type=reading.error_type if failed else None,
    )
