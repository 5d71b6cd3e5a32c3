"""
Cloudflare's Workers AI in its own form: `/accounts/ACCOUNT/ai/run/@cf/MAKER/MODEL`.

What a model makes tells what the call is: a text with its tokens, an image, a sound, a transcript,
embeddings. It stands in `result`, but in a stream's events by itself; an image may come as bytes.
https://developers.cloudflare.com/workers-ai/models (2026-11-30)
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, mapping, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.openai_chat import chat_text
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN, answer, error_type, is_true
from tokenmeter.usage import Usage

_PATH = re.compile(r"/ai/run/(?P<model>(?:@|%40)[^/]+/[^/]+/[^/]+)/?$")
_COUNTED = frozenset({"counted"})  # flag: the answer was counted, it reports nothing
_TEXT = (
    *("response", "choices", "output", "tool_calls"),
    *("translated_text", "summary", "description"),  # of a translation, a digest, a picture
)
_IMAGES = Usage(image_count=1, output_count=1)


def describe_workers_ai(request: Request) -> Call | None:
    """Describe a request to a model of Workers AI by its own path; None for any other."""
    found = _PATH.search(request.path)
    if found is None or request.method != "POST":
        return None
    spoken = text(request.body.get("prompt")) or text(request.body.get("text"))
    return Call(
        "cloudflare",
        _API,
        label(unquote(found["model"])),
        is_true(request.body.get("stream")),
        usage=Usage(characters=len(spoken)) if spoken else Usage(),
    )


def read(payload: Json) -> Reading:
    """Read a whole answer, or one event of a stream."""
    if payload.get("success") is False:
        first = next(objects(payload.get("errors")), {})
        return Reading(state="failed", error_type=error_type({"error": first}) or "error")
    if "result" in payload:
        return _read_result(payload["result"])
    reading = answer(payload, payload.get("usage"), None)
    return replace(reading, model=None, response_id=None)


def _read_result(result: object) -> Reading:
    fields = mapping(result)
    reading = replace(answer(fields, fields.get("usage"), "success"), model=None, response_id=None)
    if any(name in fields for name in _TEXT):
        return reading
    kind, made = _made(fields)
    flags = reading.flags if reading.usage else reading.flags | _COUNTED
    return replace(reading, event_name=kind, usage=made | reading.usage, flags=flags)


def _made(result: Json) -> tuple[str, Usage]:
    """Say what a result is, if it is no answer in text."""
    if isinstance(result.get("image"), str):
        return "image_generated", _IMAGES
    if isinstance(result.get("audio"), str):
        return "audio_generated", Usage()
    if "data" in result and "shape" in result:
        return "embedding_created", Usage()
    if "channels" in mapping(result.get("results")):  # Deepgram's, which tells no length
        return "audio_transcribed", Usage()
    if isinstance(result.get("text"), str):
        length = seconds(mapping(result.get("transcription_info")).get("duration"))
        return "audio_transcribed", Usage() if length is None else Usage(audio_seconds=length)
    return "api_calls", Usage()


def read_bytes(_body: bytes, content_type: str) -> Reading:
    """Take an image or a sound as it is delivered; a web page is neither."""
    if content_type.startswith("image/"):
        return Reading(_IMAGES, state="success", flags=_COUNTED, event_name="image_generated")
    if content_type.startswith("audio/"):
        return Reading(state="success", flags=_COUNTED, event_name="audio_generated")
    return Reading()


def settle(reading: Reading, call: Call) -> Reading:
    """Settle the tokens; the characters of the request count where they were spoken alone."""
    asked = call if reading.event_name == "audio_generated" else replace(call, usage=Usage())
    return replace(settle_text(PLAIN, reading, asked), event_name=reading.event_name)


def delivered_text(event: Json) -> str:
    """Return the text that one event delivers."""
    return text(event.get("response")) or chat_text(event)


_API = Api(
    "ai.run",
    "text_generated",
    read,
    settle,
    needles=(b'"usage"', b'"error"', b'"errors"'),
    text=delivered_text,
    done=b"[DONE]",
    read_bytes=read_bytes,
)
