"""Audio: transcription and translation (tokens or seconds), speech (characters or tokens)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tokenmeter.providers.base import NO_READING, Api, Call, Json, Reading, State, text
from tokenmeter.providers.openai_chat import DONE, chat_text, read_chat
from tokenmeter.providers.openai_images import COUNTED
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import Dialect, answer
from tokenmeter.usage import Usage

# The last event of a stream, as OpenAI and as Mistral name it.
_ENDS = frozenset({"transcript.text.done", "transcription.done"})


def transcript_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of transcription or translation."""
    return Api(
        operation=operation,
        event_name="audio_transcribed",
        read=read_transcript,
        settle=partial(settle_text, dialect),
        needles=(b'"usage"', b'"error"', *(f'"{end}"'.encode() for end in _ENDS)),
        text=transcript_text,
        done=DONE,
        read_bytes=read_transcript_bytes,
    )


def speech_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of speech, whose answer is sound and reports nothing."""
    return Api(
        operation=operation,
        event_name="audio_generated",
        read=read_speech,
        settle=partial(settle_speech, dialect),
        needles=(b'"usage"', b'"error"', b'"speech.audio.done"'),
        done=DONE,
        read_bytes=read_speech_bytes,
    )


def read_transcript(payload: Json) -> Reading:
    """
    Read a transcript or one event of its stream.

    Reported seconds (rounded up for billing) win over the measured `duration`. A vLLM server
    streams its transcripts as pieces of a chat.
    """
    if "choices" in payload:
        return read_chat(payload)
    kind = text(payload.get("type"))
    if kind is not None and kind not in _ENDS:
        return replace(answer(payload, None, None), response_id=None)
    reading = answer(payload, payload.get("usage"), "success")
    length = seconds(payload.get("duration"))
    if length is not None:
        flags = reading.flags if reading.usage else reading.flags | COUNTED
        measured = Usage(audio_seconds=length)
        reading = replace(reading, usage=measured | reading.usage, flags=flags)
    return reading


def transcript_text(event: Json) -> str:
    """Return the text that one event delivers."""
    if "choices" in event:
        return chat_text(event)
    delta = event.get("delta") or event.get("text")
    return delta if isinstance(delta, str) and event.get("type") not in _ENDS else ""


def read_transcript_bytes(body: bytes, content_type: str) -> Reading:
    """Plain text, SRT and VTT carry no usage; a web page is no transcript."""
    return NO_READING if _is_page(body, content_type) else Reading(state="success")


def read_speech(payload: Json) -> Reading:
    """
    Read one event of a speech stream; its last one reports tokens.

    Mistral puts the whole sound into a JSON body.
    """
    kind = text(payload.get("type"))
    whole = kind is None and isinstance(payload.get("audio_data"), str)
    state: State | None = "success" if whole or kind == "speech.audio.done" else None
    reading = answer(payload, payload.get("usage"), state)
    return replace(reading, flags=reading.flags | COUNTED) if whole else reading


def read_speech_bytes(body: bytes, content_type: str) -> Reading:
    """Take the sound as delivered: what is billed are the characters of the request."""
    if _is_page(body, content_type):
        return NO_READING
    return Reading(state="success", flags=COUNTED)


def settle_speech(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """Settle tokens; all output of speech is audio."""
    usage = reading.usage
    if usage.output_tokens is not None and usage.output_audio_tokens is None:
        usage = usage | {"output_audio_tokens": usage.output_tokens}
    return settle_text(dialect, replace(reading, usage=usage), call)


def _is_page(body: bytes, content_type: str) -> bool:
    return "html" in content_type or body[:1] == b"<"
