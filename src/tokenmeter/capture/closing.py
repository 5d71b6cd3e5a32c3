"""What an exchange is observed as when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tokenmeter.capture.estimate import PLACEHOLDER
from tokenmeter.capture.observation import FAILED_FROM, Observation, Outcome
from tokenmeter.capture.sources import after_abort, each_job, job_of, source_of
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.base import NO_READING, Reading

if TYPE_CHECKING:
    from tokenmeter.capture.exchange import Exchange


def observations_of(exchange: Exchange, ending: Outcome) -> Iterator[Observation]:
    """Say as what an exchange is observed, each job of a list for itself; keep what it submits."""
    closed = observation_of(exchange, ending)
    exchange.job = job_of(closed)
    yield from each_job(closed)


def observation_of(exchange: Exchange, ending: Outcome) -> Observation:
    """Say what was asked, what was reported, how it ended and whose it is."""
    call, attempt = exchange.call, exchange.attempt
    raw = NO_READING if exchange.reader is None else exchange.reader.reading
    reading = call.api.settle(raw, call)
    outcome = _outcome(exchange, ending, reading)
    source = source_of(reading, call)
    if _is_cut_short(exchange, outcome, reading) or PLACEHOLDER in reading.flags:
        reader = None if exchange.sink.policy.on_abort == "partial" else exchange.reader
        reading, source = after_abort(reading, source, reader, call, exchange.sent)
    _leave_note(exchange, outcome)
    return Observation(
        call,
        attempt.call_id,
        replace(reading, raw={}) if reading.raw else reading,
        outcome,
        source,
        attempt.attribution,
        attempt.run_id,
        attempt.number,
        attempt.retry_of,
        exchange.status,
        reading.error_type or exchange.error if outcome == "failed" else None,
        exchange.date,
        event_id=exchange.joined or exchange.event_id,
        joined=exchange.joined is not None,
    )


def _is_cut_short(exchange: Exchange, outcome: Outcome, reading: Reading) -> bool:
    """Whether the answer was left early, broke off, or failed, after text that is billed."""
    if outcome == "cancelled":
        return not exchange.is_complete
    reader = exchange.reader
    if outcome != "failed" or not isinstance(reader, EventReader):
        return False
    if reading.state is not None and "output_tokens" in reading.usage:
        return False  # the provider said that it failed, and what it used
    return (exchange.status or 0) < FAILED_FROM and reader.text_bytes() > 0


def _outcome(exchange: Exchange, ending: Outcome, reading: Reading) -> Outcome:
    if reading.state == "failed" or (exchange.status or 0) >= FAILED_FROM:
        return "failed"
    if exchange.is_draining:
        return "cancelled"
    if reading.state == "success" and ending == "cancelled":
        return "success"  # everything had been said when it was closed
    if reading.state == "pending" and reading.response_id is not None:
        return "success"  # the job goes on at the provider, whoever has stopped listening
    return ending


def _leave_note(exchange: Exchange, outcome: Outcome) -> None:
    """Leave a note for the retry, where there may be one."""
    if outcome == "failed" or (outcome == "cancelled" and exchange.status is None):
        exchange.attempt.leave_note()
    elif exchange.scope is not None and exchange.scope.keeps_notes:
        exchange.attempt.leave_note(exchange.announce())
