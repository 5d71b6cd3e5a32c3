"""Jobs in the journal: a submit is no event; the end is one, with what the submit knew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenmeter.capture.eventids import EventIds
from tokenmeter.capture.observation import FAILED_FROM, Observation, Shape, events_of, provider_id
from tokenmeter.delivery.jobs import FETCHED, GUESSED, JOB_EVENT, NAME, RENAMED, JobStore, joined
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.errors import TokenmeterError
from tokenmeter.event import Event

Record = dict[str, Any]  # a line of the journal
JOBS_FILE = "jobs.db"  # in the state directory
RECENT_MAX = 10_000  # submits kept in memory until they are surely in the store


class Jobs:
    """The jobs of one meter; `home` None keeps them in memory."""

    def __init__(self, home: Path | None, adopt: Callable[[], bool]) -> None:
        self._store = JobStore(None if home is None else home / JOBS_FILE)
        self._adopt = adopt
        # Told of each job's end, with what its submit knew; perhaps more than once.
        self.ended: list[Callable[[Record], None]] = []
        self._recent: OrderedDict[tuple[str, str], Record] = OrderedDict()

    def submitted(self, record: Record) -> None:
        """Remember a submit that is on its way to the store."""
        self._recent[record["properties"]["provider"], record["job"]] = record
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def knows(self, observation: Observation) -> bool:
        """Say whether the submit of this job has been seen here."""
        return self._submit_of(observation) is not None

    def _submit_of(self, observation: Observation) -> Record | None:
        key = (observation.provider, observation.reading.response_id or "")
        return self._recent.get(key) or self._store.found(*key)

    def sight(self, event: Event, observation: Observation) -> Event:
        """Return the event of a job's end as it will be resolved; changes nothing."""
        record = event_record(event, observation, Shape())
        return Event.from_dict(joined(self._submit_of(observation), record))

    def resolved(self, record: Record) -> Record | None:
        """Return the event that a journal record stands for; None for a submit. Repeatable."""
        job_id = record.get("job")
        if job_id is None:
            return record
        provider = record["properties"]["provider"]
        if record["event_name"] == JOB_EVENT:
            self._store.opened(provider, job_id, record)
            return None
        if self._store.found(provider, job_id) is None:
            self._look_for(provider, job_id)
        if record.get(FETCHED) and not self._store.is_pending(provider, job_id):
            return None
        event = self._store.settled(provider, job_id, record)
        for tell in self.ended:
            tell(event)
        return event

    def _look_for(self, provider: str, job_id: str) -> None:
        """
        Find a submit that has not reached the store: ours, or of a process that was killed.

        Raises TransientError if there are records that may have it: they are resolved first.
        """
        recent = self._recent.get((provider, job_id))
        if recent is not None:
            self._store.opened(provider, job_id, recent)
        elif self._adopt():
            raise TransientError("the submit of a job may be in a journal just taken over")

    def records(
        self, observation: Observation, ids: EventIds, shape: Shape, now: datetime
    ) -> Iterator[tuple[Event | None, Record]]:
        """Yield what the journal is to keep: a submit, which is no event, or events."""
        if is_under_way(observation):
            record = submit_record(observation, shape, now)
            if record is not None and not observation.joined:
                self.submitted(record)
                yield None, record
        elif not is_lost(observation):
            event_id, observation = ids.identify(observation)
            fetched = observation.call.api.fetches
            for event in events_of(observation, event_id, shape, now):
                record = event_record(event, observation, shape)
                # Whether that is news, the store knows: it is not asked within a call.
                yield (None, {**record, FETCHED: True}) if fetched else (event, record)

    def pending(self) -> list[dict[str, Any]]:
        """List the jobs whose end has not been seen: provider, job_id, submitted."""
        return self._store.pending()

    def health(self) -> dict[str, Any]:
        """Say how many jobs are pending; why nobody knows, if the store cannot be read."""
        try:
            return {"jobs_pending": len(self.pending())}
        except TokenmeterError as error:
            return {"jobs_pending": None, "jobs_error": str(error)}

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()


def is_under_way(observation: Observation) -> bool:
    """Whether this is a job that goes on: submitted just now, or found so by a poll."""
    return observation.reading.state == "pending" and observation.outcome == "success"


def is_lost(observation: Observation) -> bool:
    """
    Whether this is a poll that says nothing of its job.

    It failed, was cancelled, or was answered with what cannot be read: an empty body (xAI's
    way to say "not yet"), a proxy's page.
    """
    reading = observation.reading
    refused = (observation.http_status or 0) >= FAILED_FROM
    if observation.call.api.refusal_ends and reading.state == "failed":
        refused = False
    if observation.call.api.fetches and observation.outcome != "success":
        return True
    unread = reading.state not in {"success", "failed"}
    silent = unread and (observation.outcome != "success" or not reading.usage)
    return observation.call.repeated and (refused or silent)


def submit_record(observation: Observation, shape: Shape, now: datetime) -> Record | None:
    """Write a submit for the journal; None for a poll that found the job still going on."""
    if observation.call.repeated:
        return None
    job_id = observation.reading.response_id or ""
    event_id = provider_id(observation.provider, job_id)
    event = next(events_of(observation, event_id, shape, now))
    record = {**replace(event, event_name=JOB_EVENT).to_dict(), "job": job_id}
    return {**record, NAME: event.event_name, RENAMED: shape.is_renamed}


def event_record(event: Event, observation: Observation, shape: Shape) -> Record:
    """Write an event for the journal; the end of a job names the job."""
    record = dict(event.to_record())
    if observation.call.repeated:
        job_id = observation.reading.response_id
        guessed = _guessed(observation, renamed=shape.is_renamed)
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
