"""
Jobs: Veo's videos (`:predictLongRunning`) and batches of the Gemini API.

Both are operations: `{"name": …}` until `done`. A video's answer says nothing but where the
videos are: their seconds, resolution and sound stand in the request alone, so `settle_video`
wants the call that created the job.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from tokenmeter.providers.base import NO_READING, Api, Call, Json, Reading, count, mapping, text
from tokenmeter.providers.google_content import (
    CONTENT,
    TEXT,
    VIDEO,
    describe_content,
    objects,
    read_body,
    total,
)
from tokenmeter.providers.google_predict import EMBED, EMBEDDING, read_embedding
from tokenmeter.providers.google_usage import error_type, label, labels
from tokenmeter.usage import Number, Usage

SECONDS_DEFAULT = 8  # of a video whose request names no duration
SECONDS_MAX = 3600  # a longer video is a mistake of the wire
_DEFAULTS = {"resolution": "720p", "quality": "standard", "aspect_ratio": "16:9"}
_RESOLUTIONS = {"2160p": "4k"}
_SILENT = "veo-2"  # later models speak unless the request forbids it
_MODEL = re.compile(r"(?:^|/)models/([^/]+)/operations/")
_FILES = ("uri", "encodedVideo", "gcsUri", "bytesBase64Encoded")
_FAILED = frozenset({"FAILED", "CANCELLED", "EXPIRED"})
_SUCCEEDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED"})


def read_operation(payload: Json) -> Reading:
    """Read a video job: pending, failed, filtered, or so many videos."""
    name, failure = label(payload.get("name")), error_type(payload)
    model = _MODEL.search(name or "")
    reading = Reading(response_id=name, model=model[1] if model else None)
    if payload.get("done") is True:
        response = {} if failure else mapping(payload.get("response"))
        return _read_done(reading, response, failure)
    if failure is not None:
        return replace(reading, state="failed", error_type=failure)
    return replace(reading, state="pending") if name else NO_READING


def _read_done(reading: Reading, response: Json, failure: str | None) -> Reading:
    made, filtered = _delivered(response)
    reading = replace(reading, usage=Usage(video_count=made, output_count=made))
    if made:
        reading = replace(reading, usage=reading.usage | {"video_jobs": 1})
        flags = frozenset({f"filtered:{filtered}"}) if filtered else frozenset[str]()
        return replace(reading, state="success", flags=flags)
    reason = failure or ("filtered" if filtered else "no_output")
    return replace(reading, state="failed", error_type=reason)


def _delivered(response: Json) -> tuple[int, int | None]:
    """Count the videos that are there, and those that were filtered."""
    answer = mapping(response.get("generateVideoResponse")) or response
    videos = [
        *(mapping(sample.get("video")) for sample in objects(answer.get("generatedSamples"))),
        *objects(answer.get("videos")),
    ]
    made = sum(any(isinstance(video.get(name), str) for name in _FILES) for video in videos)
    return made, count(answer.get("raiMediaFilteredCount"))


def settle_video(reading: Reading, call: Call) -> Reading:
    """
    Multiply the delivered videos by the seconds that the job was asked for.

    Until its end is seen the job keeps the seconds of one video.
    """
    reading = replace(reading, response_id=reading.response_id or call.job_id)
    if reading.state == "pending":
        return replace(reading, usage=call.usage)
    if "video_count" not in reading.usage:
        return reading
    usage, flags = with_seconds(reading.usage, call)
    return replace(reading, usage=usage, flags=reading.flags | flags)


def with_seconds(usage: Usage, call: Call) -> tuple[Usage, frozenset[str]]:
    """Add `video_seconds`: 2 videos of 8 seconds are 16; none are 0, whatever was asked."""
    made = usage.get("video_count", 0)
    each: Number | None = call.usage.get("video_seconds")
    if made and each is None:
        return usage, frozenset({"missing:video_seconds"})
    return usage | {"video_seconds": made * (each or 0)}, frozenset()


def describe_video(body: Json, model: str) -> tuple[Usage, dict[str, str]]:
    """Return the seconds of one video, and the facts that a price needs and only this says."""
    parameters = mapping(body.get("parameters"))
    instance = next(objects(body.get("instances")), {})
    asked = labels(
        resolution=resolution(parameters.get("resolution")),
        aspect_ratio=parameters.get("aspectRatio"),
        fps=_digits(parameters.get("fps")),
        sample_count=_digits(parameters.get("sampleCount")),
    )
    sound = parameters.get("generateAudio")
    audible = sound if isinstance(sound, bool) else not model.startswith(_SILENT)
    kind = _input_type(instance)
    dimensions = {
        **_DEFAULTS,
        **asked,
        "generate_audio": "true" if audible else "false",
        "input_type": kind,
    }
    length = seconds(parameters.get("durationSeconds"))
    if length is None and "durationSeconds" not in parameters and kind != "video":
        return Usage(video_seconds=SECONDS_DEFAULT), {**dimensions, "duration_assumed": "true"}
    return Usage() if length is None else Usage(video_seconds=length), dimensions


def _input_type(instance: Json) -> str:
    if instance.get("video"):
        return "video"
    return "image" if instance.get("image") or instance.get("referenceImages") else "text"


def _digits(value: object) -> str | None:
    number = count(value)
    return None if number is None else str(number)


def resolution(value: object) -> str | None:
    """Return a video's resolution in our words: ``720p``, ``1080p``, ``4k``."""
    named = (label(value) or "").lower()
    return _RESOLUTIONS.get(named, named) or None


def seconds(value: object) -> Number | None:
    """Read a duration, which clients write as 8, "8" or "8s"; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        length = Decimal(str(value)[:20].strip().removesuffix("s"))
    except InvalidOperation:
        return None
    if not length.is_finite() or not 0 <= length <= SECONDS_MAX:
        return None
    return int(length) if length == int(length) else length


def read_batch(payload: Json) -> Reading:
    """
    Read the answer to create or retrieve a batch.

    Answers that come within it are added up. Those in a file are used up in its download: until
    then the batch goes on.
    """
    failure, name = error_type(payload), label(payload.get("name"))
    if failure is not None:
        return Reading(state="failed", error_type=failure, response_id=name)
    return NO_READING if name is None else _read_batch(payload, name)


def _read_batch(payload: Json, name: str) -> Reading:
    facts = mapping(payload.get("metadata")) or payload
    stage = (label(facts.get("state")) or "").rpartition("_STATE_")[2]
    model, ended_at = label(facts.get("model")), label(facts.get("endTime"))
    reading = Reading(response_id=name, model=model, created=ended_at)
    if stage in _FAILED:
        return replace(reading, state="failed", error_type=stage.lower())
    answers = mapping(payload.get("response")) or mapping(facts.get("output"))
    ended = payload.get("done") is True or stage in _SUCCEEDED
    if not ended or text(answers.get("responsesFile")):
        return replace(reading, state="pending")
    return _with_answers(reading, answers)


def _with_answers(reading: Reading, answers: Json) -> Reading:
    inlined = mapping(answers.get("inlinedResponses")).get("inlinedResponses")
    embedded = mapping(answers.get("inlinedEmbedContentResponses")).get("inlinedResponses")
    reading = replace(reading, state="success")
    for line in (*objects(inlined), *objects(embedded)):
        reading = reading.plus(read_result(line))
    return reading


def read_result(line: Json) -> Reading:
    """Read one answer of a batch: a line of its file, or one that came within it."""
    answer = mapping(line.get("response"))
    if not answer:
        return Reading(flags=frozenset({"batch_errors"}) if line.get("error") else frozenset())
    alone = count(answer.get("tokenCount"))
    if alone is not None:  # an embedding's
        usage = Usage(input_tokens=alone, uncached_input_tokens=alone)
        return replace(read_embedding(answer), usage=usage)
    reading = read_body(answer)
    usage, flags = total(reading)
    return Reading(usage=usage, model=reading.model, flags=flags)


def settle_batch(reading: Reading, call: Call) -> Reading:
    """Name the job; all of it is billed at the batch tier."""
    return replace(
        reading,
        response_id=call.job_id or reading.response_id,
        dimensions={**reading.dimensions, "service_tier": "batch"},
    )


def _held(call: Call, body: Json) -> list[tuple[Call, Json]] | None:
    """Return the requests of a batch; None if they are in a file, or it is not said clearly."""
    source = _only(mapping(body.get("batch")), "inputConfig", "input_config")
    listed: object = _only(source, "requests").get("requests")
    if not isinstance(listed, list) or not source.keys().isdisjoint(("fileName", "file_name")):
        return None
    found = [mapping(mapping(entry).get("request")) for entry in listed]
    if not all(_is_for(call.request_model, request) for request in found):
        return None
    return [(_asked(call, request), request) for request in found]


def _only(fields: Json, *names: str) -> Json:
    """Return what is said in one of two spellings; {} if in both."""
    said = [fields[name] for name in names if name in fields]
    return mapping(said[0]) if len(said) == 1 else {}


def _is_for(model: str | None, request: Json) -> bool:
    named = text(request.get("model"))
    return bool(request) and (named is None or named.removeprefix("models/") == model)


def _asked(call: Call, request: Json) -> Call:
    """Describe one request of a batch as if it were sent by itself."""
    if call.api.event_name == EMBEDDING:
        return replace(call, api=EMBED)
    kind, dimensions = describe_content(request, call.request_model or "")
    return replace(call, api=CONTENT[kind, False], dimensions=dimensions)


def _batch(operation: str, event_name: str) -> Api:
    return Api(operation, event_name, read_batch, settle_batch, owns_ids=True, held=_held)


VIDEO_JOB = Api("predictLongRunning", VIDEO, read_operation, settle_video, owns_ids=True)
BATCH = _batch("generateContent.batches", TEXT)
EMBEDDING_BATCH = _batch("embedContent.batches", EMBEDDING)
BATCH_RESULTS = replace(BATCH, read=read_result, adds=True)
