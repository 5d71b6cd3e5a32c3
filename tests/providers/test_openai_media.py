"""Images and audio: tokens where they are reported, else what was delivered or asked for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.providers.media import Step, played
from tests.providers.openai_wire import Json, body_of, bytes_of, call, response_tokens, stream_of
from tokenmeter.event import Event
from tokenmeter.providers import Reading
from tokenmeter.providers.openai_images import COUNTED

GENERATE = "/v1/images/generations"
EDIT = "/v1/images/edits"
TRANSCRIBE = "/v1/audio/transcriptions"
SPEAK = "/v1/audio/speech"
URL = {"url": "https://images.test/1.png"}
PIXELS = {"b64_json": "iVBOR"}


def image(path: str = GENERATE, body: Json | None = None, **answer: Any) -> Reading:
    return body_of(call(path, body or {"model": "gpt-image-1"}), answer)


def test_dall_e_reports_nothing_so_delivered_images_are_counted() -> None:
    reading = image(body={"model": "dall-e-3", "n": 3}, created=1, data=[URL, URL])
    assert dict(reading.usage) == {"image_count": 2, "output_count": 2}
    assert (reading.state, reading.flags) == ("success", COUNTED)


def test_images_that_were_not_delivered_are_not_counted() -> None:
    filtered = {"revised_prompt": "x", "url": None}
    assert image(data=[PIXELS, filtered, 7, {}]).usage.image_count == 1
    assert image(data=[]).usage.image_count == 0


def test_an_image_too_large_to_keep_is_counted_by_what_is_left_of_it() -> None:
    assert image(data=[{"b64_json": "A" * 200_000}]).usage.image_count == 1


def test_output_tokens_without_details_are_image_tokens() -> None:
    usage = response_tokens(50, 4160, input_tokens_details={"text_tokens": 10, "image_tokens": 40})
    reading = image(data=[PIXELS], usage=usage)
    assert reading.usage.output_image_tokens == 4160
    assert (reading.usage.input_text_tokens, reading.usage.input_image_tokens) == (10, 40)
    assert reading.flags == frozenset()


def test_output_tokens_with_details_are_what_the_details_say() -> None:
    details = {"image_tokens": 272, "text_tokens": 143}
    usage = response_tokens(50, 415, output_tokens_details=details)
    assert image(data=[PIXELS], usage=usage).usage.output_image_tokens == 272


def test_output_tokens_that_details_call_text_are_not_image_tokens() -> None:
    usage = response_tokens(50, 415, output_tokens_details={"text_tokens": 143})
    assert image(data=[PIXELS], usage=usage).usage.output_image_tokens == 272


@pytest.mark.parametrize(
    ("path", "body", "model", "size", "quality"),
    [
        (GENERATE, {"model": "dall-e-2"}, "dall-e-2", "1024x1024", "standard"),
        (GENERATE, {"model": "dall-e-3"}, "dall-e-3", "1024x1024", "standard"),
        (GENERATE, {"model": "dall-e-3", "quality": "hd"}, "dall-e-3", "1024x1024", "hd"),
        (GENERATE, {"model": "gpt-image-1"}, "gpt-image-1", "auto", "auto"),
        (GENERATE, {"model": "chatgpt-image-latest"}, "chatgpt-image-latest", "auto", "auto"),
        (EDIT, {"size": "256x256"}, "dall-e-2", "256x256", "standard"),
        ("/v1/images/variations", {}, "dall-e-2", "1024x1024", "standard"),
    ],
)
def test_what_the_request_leaves_out_is_the_documented_default(
    path: str, body: Json, model: str, size: str, quality: str
) -> None:
    described = call(path, body)
    assert described.request_model == model
    assert described.dimensions == {"size": size, "quality": quality}


def test_no_default_is_made_up_for_models_of_others() -> None:
    described = call(GENERATE, {"model": "flux-2"}, host="api.together.xyz")
    assert described.dimensions == {}
    assert call(GENERATE, {}, host="api.together.xyz").request_model is None


def test_the_size_and_quality_of_the_answer_are_those_served() -> None:
    reading = image(data=[PIXELS], size="1536x1024", quality="medium", background="opaque")
    assert reading.dimensions == {"size": "1536x1024", "quality": "medium"}


def test_trap_11_svg_usage_is_a_part_under_its_own_model() -> None:
    svg = {
        "model": "gpt-5.6",
        "input_tokens": 90,
        "output_tokens": 70,
        "reasoning_tokens": 20,
        "total_tokens": 160,
    }
    reading = image(data=[PIXELS], usage=response_tokens(10, 30), svg_usage=svg)
    (part,) = reading.parts
    assert (part.name, part.model, part.event_name) == ("svg", "gpt-5.6", "text_generated")
    assert part.usage.reasoning_tokens == 20
    assert part.usage.uncached_input_tokens == 90
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (10, 30)


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_a_stream_counts_its_final_images_and_not_the_partial_ones(kind: str) -> None:
    partial = {"type": f"{kind}.partial_image", "b64_json": "iVBOR", "partial_image_index": 0}
    final = {
        "type": f"{kind}.completed",
        "b64_json": "iVBOR",
        "created_at": 1_790_000_000,
        "size": "1024x1024",
        "quality": "high",
        "usage": response_tokens(10, 100),
    }
    asked = call(GENERATE, {"model": "gpt-image-1", "stream": True})
    reading = stream_of(asked, partial, partial, final, final)
    assert reading.usage.image_count == 2
    assert (reading.usage.output_tokens, reading.usage.output_image_tokens) == (200, 200)
    assert (reading.state, reading.created) == ("success", 1_790_000_000)
    begun = stream_of(asked, partial)
    assert (begun.state, dict(begun.usage)) == (None, {})


def test_an_image_that_is_refused_is_a_failure_without_usage() -> None:
    reading = image(error={"code": "moderation_blocked", "message": "secret words"})
    assert (reading.state, reading.error_type) == ("failed", "moderation_blocked")
    assert dict(reading.usage) == {}


def transcript(**answer: Any) -> Reading:
    return body_of(call(TRANSCRIBE, {"model": "whisper-1"}), {"text": "Hi", **answer})


def test_a_transcript_reports_tokens_of_sound_and_text() -> None:
    details = {"text_tokens": 5, "audio_tokens": 21}
    usage = {"type": "tokens", **response_tokens(26, 4, input_token_details=details)}
    reading = transcript(usage=usage)
    assert (reading.usage.input_audio_tokens, reading.usage.input_text_tokens) == (21, 5)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (26, 4)
    assert reading.flags == frozenset()


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [(4, 4), (3.7, Decimal("3.7")), (4.0, 4), ("8.47", Decimal("8.47"))],
)
def test_a_transcript_reports_seconds_exactly(seconds: Any, kept: Any) -> None:
    reading = transcript(usage={"type": "duration", "seconds": seconds}, duration=3.5)
    assert reading.usage.audio_seconds == kept
    assert "counted" not in reading.flags
    measured = transcript(duration=seconds)
    assert measured.usage.audio_seconds == kept
    assert measured.flags == {"counted"}


@pytest.mark.parametrize("junk", [-1, True, "x", "-3", [], float("nan"), float("inf"), 10**12])
def test_a_length_that_is_none_is_left_out(junk: Any) -> None:
    assert "audio_seconds" not in transcript(duration=junk).usage
    reading = transcript(usage={"type": "duration", "seconds": junk})
    assert "audio_seconds" not in reading.usage
    assert reading.flags == {"invalid:seconds"}


def test_a_stream_of_images_that_ends_before_one_is_finished_was_cut_short() -> None:
    partial: Json = {"type": "image_generation.partial_image", "partial_image_index": 0}
    final: Json = {"type": "image_generation.completed", "b64_json": "aGk=", "usage": {}}
    body = {"model": "gpt-image-2", "prompt": "a fox", "stream": True}

    def ended(*events: Json) -> Event:
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return played(Step("POST", f"https://api.openai.com{GENERATE}", lines, body)).event

    cut = ended(partial, partial)
    assert (cut.properties["flags"], cut.properties["usage_source"]) == ("cut_short", "missing")
    whole = ended(partial, final)
    assert whole.properties["flags"] == "counted"
    assert whole.usage.image_count == 1


def test_a_transcript_stream_ends_with_its_usage_or_without() -> None:
    asked = call(TRANSCRIBE, {"model": "gpt-4o-transcribe", "stream": "true"})
    delta = {"type": "transcript.text.delta", "delta": "Hi"}
    done: Json = {"type": "transcript.text.done", "text": "Hi"}
    assert stream_of(asked, delta).state is None
    assert stream_of(asked, delta, delta, delta, delta, done).state == "success"
    reading = stream_of(asked, delta, {**done, "usage": response_tokens(37, 12)})
    assert reading.usage.input_tokens == 37
    assert asked.api.text is not None
    assert (asked.api.text(delta), asked.api.text(done)) == ("Hi", "")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(b"Hi there.", "text/plain"), (b"1\n00:00:00,000 --> 00:00:01,000\nHi", "text/plain")],
)
def test_a_plain_transcript_reports_nothing(content: bytes, content_type: str) -> None:
    asked = call(TRANSCRIBE, {"model": "whisper-1", "response_format": "srt"})
    reading = bytes_of(asked, content, content_type)
    assert (reading.state, dict(reading.usage)) == ("success", {})


@pytest.mark.parametrize("path", [TRANSCRIBE, SPEAK])
def test_a_web_page_is_no_answer(path: str) -> None:
    asked = call(path, {"model": "m", "input": "Hi"})
    for content_type in ("text/html; charset=utf-8", ""):
        reading = bytes_of(asked, b"<html>Bad gateway</html>", content_type)
        assert (reading.state, dict(reading.usage)) == (None, {})


def test_speech_is_counted_in_the_characters_of_its_request() -> None:
    reading = bytes_of(call(SPEAK, {"model": "tts-1", "input": "Grüße"}), b"ID3\x04", "audio/mpeg")
    assert dict(reading.usage) == {"characters": 5}
    assert (reading.state, reading.flags) == ("success", COUNTED)


def test_speech_that_failed_has_no_characters() -> None:
    reading = body_of(call(SPEAK, {"input": "Hi"}), {"error": {"code": "invalid_voice"}})
    assert (reading.state, dict(reading.usage)) == ("failed", {})


@pytest.mark.parametrize("spoken", [None, "", 7, ["Hi"]])
def test_speech_without_words_has_no_characters(spoken: Any) -> None:
    assert dict(call(SPEAK, {"input": spoken}).usage) == {}


def test_a_speech_stream_reports_tokens_and_all_its_output_is_sound() -> None:
    asked = call(SPEAK, {"model": "gpt-4o-mini-tts", "input": "Hi", "stream_format": "sse"})
    delta = {"type": "speech.audio.delta", "audio": "UklGR"}
    done = {"type": "speech.audio.done", "usage": response_tokens(7, 90)}
    reading = stream_of(asked, delta, delta, delta, delta, done)
    assert asked.streamed
    assert reading.state == "success"
    assert reading.usage.output_audio_tokens == 90
    assert reading.usage.characters == 2
    begun = stream_of(asked, delta)
    assert (begun.state, dict(begun.usage)) == (None, {})


def test_microsofts_images_tell_the_parts_of_their_input_alone() -> None:
    asked = call(
        "/mai/v1/images/generations",
        {"model": "MAI-Image-2.6"},
        host="mine.services.ai.azure.com",
    )
    used = {"num_input_text_tokens": 40, "num_input_image_tokens": 600, "num_output_tokens": 1024}
    reading = body_of(asked, {"data": [{"b64_json": "aGk="}], "usage": used})
    assert (asked.provider, reading.flags) == ("azure", frozenset())
    assert dict(reading.usage) == {
        "input_text_tokens": 40,
        "input_image_tokens": 600,
        "input_tokens": 640,
        "uncached_input_tokens": 640,
        "output_tokens": 1024,
        "output_image_tokens": 1024,
        "total_tokens": 1664,
        "image_count": 1,
        "output_count": 1,
    }
