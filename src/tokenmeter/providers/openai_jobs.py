"""Jobs: batches, assistants' runs, videos. The first answer is not the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from tokenmeter.providers.base import (
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    State,
    count,
    counts,
    mapping,
    text,
)
from tokenmeter.providers.media import resolution, said
from tokenmeter.providers.openai_chat import DONE, read_chat
from tokenmeter.providers.openai_images import COUNTED
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import Dialect, answer, moment
from tokenmeter.usage import Usage

Read = Callable[[Json], Reading]
_FILES = ("video/", "image/", "application/octet-stream", "binary/octet-stream")
_ONE_VIDEO = Usage(video_count=1, output_count=1, video_jobs=1)

_STATES: dict[str, State] = {
    "completed": "success",
    "done": "success",
    "succeeded": "success",
    "incomplete": "success",
    "failed": "failed",
    "error": "failed",
    "expired": "failed",
    "cancelled": "failed",
    "canceled": "failed",
    "success": "success",  # Mistral's
    "timeout_exceeded": "failed",
    "failed_validation": "failed",
}
_CUT_SHORT = frozenset({"expired", "cancelled", "canceled", "timeout_exceeded"})
_ENDS = ("completed_at", "expired_at", "cancelled_at", "failed_at", "finished_at")
_TUNINGS = ("fine_tuning.job", "job")  # of OpenAI and Azure, of Mistral


def batch_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of batches."""
    return _job_api(dialect, operation, "text_generated", read_batch)


def run_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of the runs of an assistant."""
    return _job_api(dialect, operation, "text_generated", read_run)


def video_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of videos."""
    api = _job_api(dialect, operation, "video_generated", read_videos)
    return replace(api, settle=partial(settle_video, dialect))


def extension_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of videos that go on from others."""
    return replace(video_api(dialect, operation), settle=partial(settle_extension, dialect))


def video_content_api(dialect: Dialect, operation: str) -> Api:
    """
    Return the Api of a video's file, which is there once the video is done.

    Whoever hears of that by a webhook need not poll: the submit says the rest.
    """
    return replace(
        video_api(dialect, operation),
        read_headers=_read_delivery,
        read_bytes=_read_file,
        fetches=True,
    )


def deferred_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of a chat whose answer is fetched later."""
    return _job_api(dialect, operation, "text_generated", read_deferred)


def tuning_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of fine-tuning."""
    return _job_api(dialect, operation, "api_calls", read_tuning)


def _job_api(dialect: Dialect, operation: str, event_name: str, read: Read) -> Api:
    return Api(
        operation=operation,
        event_name=event_name,
        read=read,
        settle=partial(settle_text, dialect),
        text=run_text,
        done=DONE,
        owns_ids=True,
    )


def read_batch(payload: Json) -> Reading:
    """
    Read a batch. All of it is billed at the batch tier.

    One that expired or was cancelled is billed for what had run until then.
    """
    if payload.get("object") not in ("batch", None):
        return answer(payload, None, None)
    payload = mapping(payload.get("job")) or payload  # Together wraps what it has created
    reading = read_job(payload)
    delivered = _delivered(payload)
    reading = _rescued(reading, delivered=bool(delivered))
    return replace(reading, dimensions={**reading.dimensions, "service_tier": "batch"})


def read_tuning(payload: Json) -> Reading:
    """
    Read a fine-tuning job: the tokens that it was trained on are what is billed.

    One that was cancelled is billed for what it was trained on until then.
    """
    failed = mapping(payload.get("error"))  # all of its fields are null as long as nothing fails
    if payload.get("object") in _TUNINGS and not failed.get("code"):
        payload = {**payload, "error": None}
    elif "error" not in payload:
        return NO_READING
    reading = read_job(payload)
    if reading.state == "pending":
        return reading
    used, flags = counts(payload, {"trained_tokens": "trained_tokens"})
    return _rescued(replace(reading, usage=used, flags=reading.flags | flags))


def _delivered(batch: Json) -> int | None:
    """Return how many requests were answered, by OpenAI's count or Mistral's."""
    answered = count(mapping(batch.get("request_counts")).get("completed"))
    return count(batch.get("succeeded_requests")) if answered is None else answered


def read_deferred(payload: Json) -> Reading:
    """Read the name that stands for a chat until it is done, or the chat, which has another."""
    named = text(payload.get("request_id"))
    if named is not None and "choices" not in payload and "error" not in payload:
        return Reading(response_id=named, state="pending")
    return replace(read_chat(payload), response_id=None)


def read_run(payload: Json) -> Reading:
    """Read a run, or one event of its stream; its steps repeat parts of its usage."""
    if "error" not in payload and payload.get("object") != "thread.run":
        return NO_READING
    reading = read_job(payload)
    failure = text(mapping(payload.get("last_error")).get("code"))
    reading = replace(reading, created=moment(payload.get("created_at")))
    if reading.state == "failed" and failure:
        reading = replace(reading, error_type=failure)
    return _rescued(reading)


def read_videos(payload: Json) -> Reading:
    """Read a video job, or a page of them."""
    page = payload.get("data")
    if not isinstance(page, list):
        return _read_video(payload)
    videos = tuple(_read_video(video) for video in page if isinstance(video, dict))
    return Reading(state="pending", jobs=videos)


def _read_video(payload: Json) -> Reading:
    """Read a video job of OpenAI or xAI: seconds and size once it is done."""
    reading = read_job(payload)
    video = mapping(payload.get("video"))
    length = seconds(payload.get("seconds") or video.get("duration"))
    if reading.response_id is None:
        reading = replace(reading, response_id=text(payload.get("request_id")))
    size = text(payload.get("size"))
    frame = said(size=size, resolution=resolution(size))
    reading = replace(reading, dimensions={**reading.dimensions, **frame})
    used = reading.usage if length is None else reading.usage | {"video_seconds": length}
    if reading.state == "pending":  # it repeats what was asked for, or the default
        return replace(reading, usage=used)
    if reading.state != "success":
        return reading
    return replace(reading, usage=used | _ONE_VIDEO, flags=reading.flags | COUNTED)


def _read_delivery(headers: Mapping[str, str]) -> Reading:
    """Tell the file from what a proxy, or a server that is not ready, says in its place."""
    if not headers.get("content-type", "").lower().startswith(_FILES):
        return NO_READING
    return Reading(_ONE_VIDEO, state="success", flags=COUNTED)


def _read_file(_body: bytes, _content_type: str) -> Reading:
    return NO_READING


def settle_video(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """Settle a video; the seconds that were asked for are kept for an end that names none."""
    if reading.jobs:
        return reading  # a page: each of them is settled by itself
    settled = settle_text(dialect, reading, call)
    if settled.state != "pending":
        return settled
    return replace(settled, usage=call.usage | settled.usage)


def settle_extension(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """
    Settle a video that extends another: it is billed by the new seconds alone.

    Its answers say the length of the whole, so the length that was asked for stands.
    """
    settled = settle_text(dialect, reading, call)
    if not call.usage or reading.state not in ("pending", "success"):
        return settled
    stands = frozenset(f"asked:{metric}" for metric in call.usage)
    return replace(settled, usage=settled.usage | call.usage, flags=settled.flags | stands)


def read_job(payload: Json) -> Reading:
    """Read what jobs share: how it stands, its usage, and when it ended."""
    status = (text(payload.get("status")) or "").lower()  # Mistral and Together shout
    state = _STATES.get(status, "pending")
    reading = answer(payload, payload.get("usage"), state)
    ended = next((at for name in _ENDS if (at := moment(payload.get(name))) is not None), None)
    if ended is not None:
        reading = replace(reading, created=ended)
    if reading.state == "failed" and reading.error_type is None:
        reading = replace(reading, error_type=status)
    return reading


def _rescued(reading: Reading, *, delivered: bool = False) -> Reading:
    """A job that was cut short but delivered something has succeeded in part."""
    spent = any(reading.usage.values())
    if reading.error_type not in _CUT_SHORT or not (spent or delivered):
        return reading
    flags = reading.flags | {reading.error_type}
    return replace(reading, state="success", error_type=None, flags=flags)


def run_text(event: Json) -> str:
    """Return the text that one event of a run's stream delivers."""
    content = mapping(event.get("delta")).get("content")
    parts = content if isinstance(content, list) else []
    texts = [mapping(mapping(part).get("text")).get("value") for part in parts]
    return "".join(piece for piece in texts if isinstance(piece, str))
