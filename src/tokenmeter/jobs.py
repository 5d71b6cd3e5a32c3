"""Jobs in the journal: a submit is no event; the end is one, with what the submit knew."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenmeter.capture.observation import FAILED_FROM, Observation, Shape, events_of, provider_id
from tokenmeter.delivery.jobs import GUESSED, JOB_EVENT, NAME, RENAMED, JobStore
from tokenmeter.event import Event

Record = dict[str, Any]  # a line of the journal


class Jobs:
    """The jobs of one meter; `home` None keeps them in memory."""

    def __init__(self, home: Path | None) -> None:
        self._store = JobStore(None if home is None else home / "jobs.db")

    def resolved(self, record: Record) -> Record | None:
        """Return the event that a journal record stands for; None for a submit. Repeatable."""
        job_id = record.get("job")
        if job_id is None:
            return record
        provider = record["properties"]["provider"]
        if record["event_name"] == JOB_EVENT:
            self._store.opened(provider, job_id, record)
            return None
        return self._store.settled(provider, job_id, record)

    def pending(self) -> list[dict[str, Any]]:
        """List the jobs whose end has not been seen: provider, job_id, submitted."""
        return self._store.pending()

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()


def is_under_way(observation: Observation) -> bool:
    """Whether this is a job that goes on: submitted just now, or found so by a poll."""
    return observation.reading.state == "pending" and observation.outcome == "success"


def is_lost(observation: Observation) -> bool:
    """Whether this is a poll that failed or was cancelled: it says nothing of its job."""
    refused = (observation.http_status or 0) >= FAILED_FROM
    if observation.call.api.refusal_ends and observation.reading.state == "failed":
        refused = False
    unread = observation.reading.state not in {"success", "failed"}
    return observation.call.repeated and (refused or (unread and observation.outcome != "success"))


def submit_record(
    observation: Observation, shape: Shape, now: datetime, *, renamed: bool = False
) -> Record | None:
    """
    Write a submit for the journal; None for a poll that found the job still going on.

    `renamed`: the user has named the event where the job was submitted.
    """
    if observation.call.repeated:
        return None
    job_id = observation.reading.response_id or ""
    event_id = provider_id(observation.provider, job_id)
    event = next(events_of(observation, event_id, shape, now))
    record = {**replace(event, event_name=JOB_EVENT).to_dict(), "job": job_id}
    return {**record, NAME: event.event_name, RENAMED: renamed}


def event_record(event: Event, observation: Observation, *, renamed: bool = False) -> Record:
    """Write an event for the journal; the end of a job names the job."""
    record = dict(event.to_record())
    if observation.call.repeated:
        job_id = observation.reading.response_id
        guessed = _guessed(observation, renamed=renamed)
        return record if job_id is None else {**record, "job": job_id, GUESSED: guessed}
    return record


def _guessed(observation: Observation, *, renamed: bool) -> list[str]:
    """Name what the end does not say itself: one address serves polls of all kinds of jobs."""
    reading = observation.reading
    named = renamed or reading.event_name is not None
    return [
        "operation",
        *([] if named else [NAME]),
        *([] if reading.model is not None else ["model", "model_type"]),
    ]
