"""
ElevenLabs and Deepgram: speech by the characters of the request, transcripts by the second.

https://elevenlabs.io/docs/api-reference, https://developers.deepgram.com/reference (2026-11-30)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    Adapter,
    Api,
    Call,
    Json,
    Reading,
    Request,
    count,
    mapping,
    settled_as_read,
    text,
)
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.openai_wire import error_type
from tokenmeter.usage import Usage

__all__ = ["ADAPTER", "describe"]

_SPEECH = re.compile(r"^/v1/text-to-speech/[^/]+(?:/stream)?(?:/with-timestamps)?/?$")
_SPEECH_MODEL, _TRANSCRIPT_MODEL, _LISTEN_MODEL = "eleven_multilingual_v2", "scribe_v1", "base"
_SPEAK_MODEL = "aura-asteria-en"
_AURA = re.compile(r"(?P<family>aura(?:-2)?)-.+")  # the rest of the name is a voice
_COUNTED = frozenset({"counted"})  # flag: the answer was counted, it reports nothing
_DEEPGRAM = "api.deepgram.com"


def describe(request: Request) -> Call | None:
    """Say what a request for speech or for a transcript asks for."""
    if request.method != "POST":
        return None
    if request.host == _DEEPGRAM:
        asked = _AT_DEEPGRAM.get(request.path.rstrip("/"))
        return None if asked is None else asked(request)
    model = label(request.body.get("model_id"))
    if _SPEECH.search(request.path):
        return _spoken("elevenlabs", model or _SPEECH_MODEL, request)
    if request.path.rstrip("/") == "/v1/speech-to-text":
        return Call("elevenlabs", TRANSCRIPT, model or _TRANSCRIPT_MODEL)
    return None


def _spoken(provider: str, model: str, request: Request) -> Call:
    said = text(request.body.get("text"))
    usage = Usage(characters=len(said)) if said else Usage()
    return Call(provider, SPEECH, model, usage=usage)


def _speak(request: Request) -> Call:
    """Describe speech of Deepgram's, whose models are named after their voices."""
    model = _asked(request, "model") or _SPEAK_MODEL
    found = _AURA.fullmatch(model)
    call = _spoken("deepgram", found["family"] if found else model, request)
    return replace(call, dimensions={"voice": model})


def _listen(request: Request) -> Call:
    channels = {"multichannel": "true"} if _asked(request, "multichannel") == "true" else {}
    return Call("deepgram", LISTEN, _asked(request, "model") or _LISTEN_MODEL, dimensions=channels)


def _asked(request: Request, name: str) -> str | None:
    return label(next(iter(parse_qs(request.query).get(name, ())), None))


_AT_DEEPGRAM: dict[str, Callable[[Request], Call]] = {"/v1/speak": _speak, "/v1/listen": _listen}


def read_speech(payload: Json) -> Reading:
    """Read speech that comes in JSON, with the times of its letters."""
    failure = _failure(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    made = isinstance(payload.get("audio_base64"), str)
    return Reading(state="success", flags=_COUNTED) if made else Reading()


def read_sound(_body: bytes, content_type: str) -> Reading:
    """Take the sound as it is delivered; a web page is none."""
    made = content_type.startswith(("audio/", "application/octet-stream"))
    return Reading(state="success", flags=_COUNTED) if made else Reading()


def read_transcript(payload: Json) -> Reading:
    """Read a transcript of ElevenLabs': as long as it says, else up to its last word."""
    failure = _failure(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    if not isinstance(payload.get("text"), str):
        return Reading()  # it is sent elsewhere
    words = [*objects(payload.get("words"))]
    told = seconds(payload.get("audio_duration_secs"))
    length = told if told is not None else seconds(words[-1].get("end")) if words else None
    made = Usage() if length is None else Usage(audio_seconds=length)
    return Reading(made, state="success", flags=frozenset() if told is not None else _COUNTED)


def read_listened(payload: Json) -> Reading:
    """Read a transcript of Deepgram's, which tells its length and how many channels it has."""
    failure = text(payload.get("err_code")) or error_type(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    metadata = mapping(payload.get("metadata"))
    length = seconds(metadata.get("duration"))
    if "results" not in payload:
        return Reading()
    return Reading(
        Usage() if length is None else Usage(audio_seconds=length),
        created=text(metadata.get("created")),
        response_id=label(metadata.get("request_id")),
        state="success",
        raw={"channels": count(metadata.get("channels"))},
    )


def settle_listened(reading: Reading, call: Call) -> Reading:
    """Each channel is billed, if they were asked for one by one: 10 s of stereo are 20 s."""
    length, channels = reading.usage.audio_seconds, reading.raw.get("channels")
    if length is not None and channels and "multichannel" in call.dimensions:
        reading = replace(reading, usage=Usage(audio_seconds=length * channels))
    return replace(reading, raw={})


def _failure(payload: Json) -> str | None:
    """Read ElevenLabs' word for what went wrong."""
    detail = payload.get("detail")
    if not detail:
        return None
    return label(mapping(detail).get("status")) or label(mapping(detail).get("code")) or "error"


SPEECH = Api("speech", "audio_generated", read_speech, settled_as_read, read_bytes=read_sound)
TRANSCRIPT = Api("speech_to_text", "audio_transcribed", read_transcript, settled_as_read)
LISTEN = Api("listen", "audio_transcribed", read_listened, settle_listened, owns_ids=True)
ADAPTER = Adapter(
    "elevenlabs",
    describe,
    hosts=("api.elevenlabs.io", _DEEPGRAM),
    host_suffixes=(".elevenlabs.io",),
)
