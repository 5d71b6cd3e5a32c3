"""Where the usage of an observation comes from; the observations of a list of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tokenmeter.capture.estimate import estimated
from tokenmeter.capture.observation import Observation, UsageSource, provider_id
from tokenmeter.capture.reader import Reader
from tokenmeter.capture.requests import Sent
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.base import Call, Reading

# Metrics that adapters count in an answer; the provider does not report them as usage.
COUNTED = frozenset({"image_count", "output_count", "characters", "video_count"})


def each_job(observation: Observation) -> Iterator[Observation]:
    """Yield one observation for each job of a list; any other answer is one."""
    call, jobs = observation.call, observation.reading.jobs
    if not jobs or observation.outcome != "success":
        yield observation
        return
    for job in jobs:
        reading = replace(call.api.settle(job, call), raw={})
        failed = reading.state == "failed"
        yield replace(
            observation,
            reading=reading,
            outcome="failed" if failed else "success",
            usage_source=source_of(reading, call),
            error_type=reading.error_type if failed else None,
        )


def job_of(observation: Observation) -> str | None:
    """Name the job that was submitted; None for what is none, and for a poll."""
    reading, is_new = observation.reading, not observation.call.repeated
    if not is_new or reading.state != "pending" or observation.outcome != "success":
        return None
    return provider_id(observation.provider, reading.response_id) if reading.response_id else None


def source_of(reading: Reading, call: Call) -> UsageSource:
    """Reported by the provider, worked out by us from request and answer, or missing."""
    counted = "counted" in reading.flags or not set(reading.usage) - COUNTED - set(call.usage)
    if reading.usage and not counted:
        return "reported"
    return "estimated" if reading.usage else "missing"


def after_abort(
    reading: Reading, source: UsageSource, reader: Reader | None, call: Call, sent: Sent
) -> tuple[Reading, UsageSource]:
    """Keep what the provider reported up to the abort; estimate the rest from what was seen."""
    source = "partial" if source == "reported" else source
    if not isinstance(reader, EventReader) or call.api.text is None:
        return reading, source  # of images and sounds there is no text to count
    if not (call.streamed or reader.is_events):
        return reading, source  # a body that nobody wanted in parts comes whole or not
    filled, changed = estimated(reading, sent.json(), reader.text_bytes())
    return filled, "estimated" if changed else source
