"""Choose the id of an attempt's event: the provider's own where it has one for all time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.observation import (
    FAILED_FROM,
    Observation,
    provider_id,
)
from tokenmeter.event import attempt_id
from tokenmeter.providers.base import Call, Reading

SEEN_IDS_MAX = 65_536  # provider ids remembered, to keep two creates of one id apart


class EventIds:
    """The ids that a meter has given out, so that two creates are never one event."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._names: OrderedDict[str, str] = OrderedDict()  # announced before it was told

    def identify(self, observation: Observation) -> tuple[str, Observation]:
        """
        Return the event id of an attempt, and the attempt.

        Where the provider gives one id to two creates, the second has an id of ours and is
        flagged ``id_reused``. Another sight of one thing (a poll) has the id of the first.
        """
        response_id = observation.reading.response_id
        call = observation.call
        announced = observation.event_id
        if announced is not None:  # and claimed then
            failed = observation.outcome == "failed"
            if response_id and call.api.owns_ids and not (call.repeated or failed):
                self._named(provider_id(call.provider, response_id), announced)
            return announced, observation
        if not response_id or not call.api.owns_ids or not _is_a_thing(observation):
            return attempt_id(observation.call_id, observation.attempt), observation
        event_id = provider_id(call.provider, response_id)
        if call.repeated:
            return self._names.get(event_id, event_id), observation
        if not self._taken(event_id):
            dimensions = {**observation.reading.dimensions, "id_reused": "true"}
            reading = replace(observation.reading, dimensions=dimensions)
            own = attempt_id(observation.call_id, observation.attempt)
            return own, replace(observation, reading=reading)
        return event_id, observation

    def of_create(self, call: Call, response_id: str, attempt: Attempt) -> tuple[str, bool]:
        """Return the event id of a create that succeeded; True if it is not the provider's."""
        own = not (call.api.owns_ids and response_id)
        event_id = "" if own else provider_id(call.provider, response_id)
        if own or not self._taken(event_id):
            return attempt_id(attempt.call_id, attempt.number), not own
        return event_id, False

    def claim(self, call: Call, reading: Reading, status: int | None) -> str | None:
        """Return the event id that the provider's id gives, if it is free; then it is taken."""
        if not reading.response_id or not call.api.owns_ids:
            return None
        event_id = provider_id(call.provider, reading.response_id)
        if call.repeated:
            return self._names.get(event_id, event_id)
        failed = reading.state == "failed" or (status or 0) >= FAILED_FROM
        return None if failed or not self._taken(event_id) else event_id

    def _named(self, event_id: str, announced: str) -> None:
        """Remember under what id a thing was announced: another sight of it has that, too."""
        if announced != event_id and self._taken(event_id):
            self._names[event_id] = announced
            if len(self._names) > SEEN_IDS_MAX:
                self._names.popitem(last=False)

    def _taken(self, event_id: str) -> bool:
        """Take an id that is free; False if it is not."""
        if event_id in self._seen:
            return False
        self._seen[event_id] = None
        if len(self._seen) > SEEN_IDS_MAX:
            self._seen.popitem(last=False)
        return True


def _is_a_thing(observation: Observation) -> bool:
    """An attempt that failed has no id of its own, unless it is the end of a job."""
    return observation.outcome != "failed" or observation.call.repeated
