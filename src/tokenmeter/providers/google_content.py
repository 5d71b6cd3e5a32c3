"""
generateContent and its streams, on the Gemini API and on Vertex; the Live API's messages.

Every chunk of a stream may carry `usageMetadata`, and the last one stands as a whole: a field
that only an earlier chunk had is gone. So chunks are added up (`Api.adds`), which is right for
the images they deliver, and `settle_content` takes the tokens from the last report instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from tokenmeter.providers.base import Api, Call, Json, Reading, mapping, text
from tokenmeter.providers.google_grounding import grounded, grounding_marks
from tokenmeter.providers.google_usage import (
    Counted,
    error_type,
    is_report,
    label,
    labels,
    read_usage,
    served_tier,
)
from tokenmeter.providers.usual import asked_by, read_by
from tokenmeter.usage import Number, Usage

NEEDLES = (b'"usageMetadata"', b'"error"', b'"inlineData"', b'"finishReason"', b'"blockReason"')
IMAGE, AUDIO, VIDEO, TEXT = (f"{kind}_generated" for kind in ("image", "audio", "video", "text"))
# A part that holds one of these media types delivers one of these.
MEDIA = {"image": "image_count", "video": "video_count"}

# What an answer is by its modality, or by what models are called that answer in it.
_KINDS = {
    "image": (IMAGE, re.compile("-image|nano-banana")),
    "video": (VIDEO, re.compile("-omni")),
    "audio": (AUDIO, re.compile("-tts|lyria")),
}
_COUNTED = "counted"  # key of `raw`: the last report of usage, as it came
_CANDIDATE = "candidate:"  # keys of `raw`: one per candidate that delivered something
_ENDED = "ended"  # key of `raw`: a candidate said why it ended
_PLAIN_END = "STOP"
_TIERS = frozenset({"standard", "flex", "priority"})
PLACEHOLDER = "output_placeholder"  # flag: the output was not counted yet


def read_chunk(payload: Json) -> Reading:
    """Read one event of a stream, or one element of the array that a stream without SSE is."""
    failure = error_type(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    metadata = mapping(payload.get("usageMetadata"))
    reports = is_report(metadata)
    made: dict[str, Number] = {}
    raw: dict[str, Any] = {_COUNTED: metadata} if reports else {}
    dimensions = served_tier(metadata)
    for candidate in objects(payload.get("candidates")):
        _add_delivered(made, candidate)
        raw.update(_marks(candidate))
        dimensions.update(_ending(candidate))
    feedback = mapping(payload.get("promptFeedback"))
    return Reading(
        usage=Usage(made),
        model=label(payload.get("modelVersion")),
        response_id=label(payload.get("responseId")),
        created=label(payload.get("createTime")),
        dimensions={**dimensions, **labels(block_reason=feedback.get("blockReason"))},
        flags=frozenset() if reports else read_usage(payload.get("usageMetadata")).flags,
        raw=raw,
    )


def read_body(payload: Json) -> Reading:
    """Read a whole answer."""
    reading = read_chunk(payload)
    return replace(reading, state=reading.state or "success")


def settle_content(reading: Reading, call: Call) -> Reading:
    """Take the tokens of the last report, and what was delivered in all chunks together."""
    usage, flags = total(reading)
    if call.api.event_name == IMAGE and reading.raw and "image_count" not in usage:
        usage = usage | {"image_count": 0, "output_count": 0}  # asked for and not delivered
    begun = call.streamed and "output_tokens" not in usage and marked(reading, _CANDIDATE)
    if begun and _ENDED not in reading.raw:
        flags |= {PLACEHOLDER}  # it began to answer, and then the stream was cut
    return replace(reading, usage=usage, flags=reading.flags | flags, raw={})


def total(reading: Reading) -> Counted:
    """Return what a folded reading reports."""
    last = read_usage(reading.raw.get(_COUNTED))
    made = {metric: n for metric, n in reading.usage.items() if metric in MEDIA.values()}
    found: dict[str, Number] = {**last.usage, **made}
    found.update(grounded(reading.raw))
    delivered = sum(made.values()) if made else marked(reading, _CANDIDATE)
    if found and delivered:
        found["output_count"] = delivered
    return Counted(Usage(found), last.flags)


def marked(reading: Reading, prefix: str) -> int:
    """Count the keys of `raw` that begin so: things that must count once are marked there."""
    return sum(key.startswith(prefix) for key in reading.raw)


def objects(value: object) -> Iterator[Json]:
    """Yield the objects of a list; nothing if it is none."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def _parts(candidate: Json) -> Iterator[Json]:
    return objects(mapping(candidate.get("content")).get("parts"))


def _add_delivered(made: dict[str, Number], candidate: Json) -> None:
    """Count the images and videos of a candidate; those it drew while thinking are not final."""
    for part in _parts(candidate):
        blob = mapping(part.get("inlineData") or part.get("fileData"))
        media = (text(blob.get("mimeType")) or "").partition("/")[0]
        metric = MEDIA.get(media)
        delivered = any(isinstance(blob.get(name), str) for name in ("data", "fileUri"))
        if metric is not None and delivered and part.get("thought") is not True:
            made[metric] = made.get(metric, 0) + 1


def _marks(candidate: Json) -> dict[str, Any]:
    """Name what must count once however many chunks repeat it: searches and candidates."""
    marks = grounding_marks(candidate)
    index = candidate.get("index", 0)
    if next(_parts(candidate), None) is not None and isinstance(index, int):
        marks[f"{_CANDIDATE}{index}"] = True
    if label(candidate.get("finishReason")):
        marks[_ENDED] = True
    return marks


def _ending(candidate: Json) -> dict[str, str]:
    """Say why a candidate ended, unless it simply came to its end."""
    reason = label(candidate.get("finishReason"))
    return {} if reason in (None, _PLAIN_END) else {"finish_reason": str(reason)}


def delivered_text(payload: Json) -> str:
    """Return the text that one chunk delivers: answer, thoughts, arguments of calls."""
    pieces: list[str] = []
    for candidate in objects(payload.get("candidates")):
        for part in _parts(candidate):
            pieces.append(text(part.get("text")) or "")
            arguments = mapping(part.get("functionCall")).get("args")
            if arguments:
                pieces.append(json.dumps(arguments))
    return "".join(pieces)


class _Settings(msgspec.Struct, frozen=True, gc=False):
    """What `describe_content` looks at in a request's settings: usually nothing is there."""

    imageConfig: None = None  # noqa: N815 - as on the wire
    image_config: None = None
    responseModalities: None = None  # noqa: N815
    response_modalities: None = None


class _Asked(msgspec.Struct, frozen=True, gc=False):
    generationConfig: _Settings = _Settings()  # noqa: N815
    generation_config: _Settings = _Settings()
    serviceTier: None = None  # noqa: N815
    service_tier: None = None


class _Part(msgspec.Struct, gc=False):
    inlineData: None = None  # noqa: N815
    fileData: None = None  # noqa: N815


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct, gc=False):
    content: _Content | None = None
    index: Any = 0
    finishReason: Any = None  # noqa: N815
    groundingMetadata: None = None  # noqa: N815


class _Body(msgspec.Struct, gc=False):
    """What `read_chunk` looks at in an answer that is text and searched for nothing."""

    usageMetadata: dict[str, Any]  # noqa: N815
    candidates: list[_Candidate]
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    createTime: Any = None  # noqa: N815
    promptFeedback: Any = None  # noqa: N815
    error: Any = None


def _without_texts(body: _Body) -> Json:
    candidates: list[Json] = []
    for found in body.candidates:
        parts: list[Json] = [{}] if found.content is not None and found.content.parts else []
        candidate: Json = {"index": found.index, "finishReason": found.finishReason}
        candidates.append({**candidate, "content": {"parts": parts}})
    return {**msgspec.structs.asdict(body), "candidates": candidates}


_read_text = read_by(_Body, _without_texts, read_body, settle_content)
_asked_content = asked_by(_Asked)


def _api(event_name: str, *, streamed: bool) -> Api:
    usual = event_name == TEXT and not streamed
    return Api(
        operation="generateContent",
        event_name=event_name,
        read=read_chunk if streamed else read_body,
        settle=settle_content,
        needles=NEEDLES,
        text=delivered_text,
        adds=streamed,
        owns_ids=True,
        asked=_asked_content if usual else None,
        plain=_read_text if usual else None,
    )


# By event name and whether it streams.
CONTENT = {
    (event_name, streamed): _api(event_name, streamed=streamed)
    for event_name in (TEXT, IMAGE, AUDIO, VIDEO)
    for streamed in (False, True)
}
# The messages of a Live session, for users who own its websocket: one report per turn.
LIVE = replace(CONTENT[TEXT, True], operation="live", owns_ids=False)


@lru_cache(maxsize=64)
def tiered(api: Api) -> Api:
    """Return the Api of a call that asks for a tier: the answer's headers say which one it got."""
    return replace(api, read_headers=_served, asked=None, plain=None)


def _served(headers: Mapping[str, str]) -> Reading:
    tier = headers.get("x-gemini-service-tier", "").lower()
    return Reading(dimensions={"service_tier": tier}) if tier in _TIERS else Reading()


def describe_content(request_body: Json, model: str) -> tuple[str, dict[str, str]]:
    """Return the event's name and the facts that only the request holds."""
    config = either(request_body, "generationConfig", "generation_config")
    image = either(config, "imageConfig", "image_config")
    dimensions = labels(
        size=image.get("imageSize", image.get("image_size")),
        aspect_ratio=image.get("aspectRatio", image.get("aspect_ratio")),
        service_tier=request_body.get("serviceTier", request_body.get("service_tier")),
    )
    modalities = config.get("responseModalities", config.get("response_modalities"))
    return event_name(modalities, model, drawn=bool(image)), dimensions


def event_name(modalities: object, model: str, *, drawn: bool = False) -> str:
    """Return what an answer in these modalities, or of a model of this name, is."""
    names = modalities if isinstance(modalities, list) else []
    asked = {name.lower() for name in names if isinstance(name, str)}
    for kind, (name, marks) in _KINDS.items():
        if kind in asked if asked else marks.search(model):
            return name
    return IMAGE if drawn else TEXT


def either(fields: Json, *names: str) -> Json:
    """Return the first of these fields that is there, as an object."""
    return next((mapping(fields[name]) for name in names if name in fields), {})
