"""ElevenLabs and Deepgram: speech by the character, transcripts by the second."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.capture.play import Answer, Player
from tests.capture.wire import JSON
from tokenmeter import Event, TokenMeter
from tokenmeter.providers import Call, Reading, Request, find

ELEVEN, DEEPGRAM = "https://api.elevenlabs.io/v1", "https://api.deepgram.com/v1"
SPEAK = f"{ELEVEN}/text-to-speech/voice_1"
SOUND = {"content-type": "audio/mpeg"}
WORDS = [{"text": "Hi", "end": 0.5}, {"text": "you", "end": 1.25}]


def played(url: str, body: Any, answer: Any, headers: dict[str, str] | None = None) -> Event:
    meter = TokenMeter("memory:")
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    player = Player([Answer(200, headers or dict(JSON), [content])])
    client = meter.wrap(player.client(httpx2))
    try:
        client.post(url, json=body)
        assert meter.flush(5)
        assert meter.faults == 0
        (event,) = meter.backend.events
        found: Event = event
        return found
    finally:
        meter.shutdown()


def described(host: str, path: str, method: str = "POST", **body: Any) -> Call | None:
    adapter = find(host, path)
    return None if adapter is None else adapter.describe(Request(method, host, path, body=body))


def listened(**fields: Any) -> dict[str, Any]:
    metadata = {"request_id": "r-1", "created": "2026-11-30T10:00:00Z", "duration": 10.5}
    return {"metadata": {**metadata, "channels": 2, **fields}, "results": {"channels": []}}


@pytest.mark.parametrize(
    ("place", "model", "cost"),
    [
        ("", None, "0.0008"),
        ("/stream", "eleven_flash_v2_5", "0.0004"),
        ("/with-timestamps", "eleven_v3", "0.0008"),
    ],
)
def test_speech_is_billed_by_the_characters_of_the_request(
    place: str, model: str | None, cost: str
) -> None:
    body = {"text": "Ten chars.", **({"model_id": model} if model else {})}
    timed = place == "/with-timestamps"
    answer: Any = {"audio_base64": "aGk=", "alignment": {}} if timed else b"ID3"
    event = played(SPEAK + place, body, answer, None if timed else SOUND)
    assert (event.event_name, event.usage["characters"]) == ("audio_generated", 10)
    assert event.properties["provider"] == "elevenlabs"
    assert event.properties["request_model"] == (model or "eleven_multilingual_v2")
    assert event.properties["cost_usd"] == cost


@pytest.mark.parametrize(("told", "length"), [({"audio_duration_secs": 2.5}, "2.5"), ({}, "1.25")])
def test_a_transcript_is_billed_by_its_length_or_up_to_its_last_word(
    told: dict[str, Any], length: str
) -> None:
    answer = {"language_code": "en", "text": "Hi you", "words": WORDS, **told}
    event = played(f"{ELEVEN}/speech-to-text", {"model_id": "scribe_v2"}, answer)
    assert (event.event_name, str(event.usage["audio_seconds"])) == ("audio_transcribed", length)
    assert event.properties["cost_source"] == "computed"
    assert "Hi you" not in str(event.to_dict())


def test_what_elevenlabs_refuses_has_failed_and_what_it_sends_elsewhere_says_nothing() -> None:
    call = described("api.elevenlabs.io", "/v1/text-to-speech/v", text="x")
    assert call is not None
    refused = {"detail": {"status": "quota_exceeded", "message": "secret"}}
    assert call.api.read(refused).error_type == "quota_exceeded"
    assert call.api.read({"detail": "secret words"}).error_type == "error"
    assert call.api.read({}).state is None
    assert call.api.read_bytes is not None
    assert call.api.read_bytes(b"<html>", "text/html").state is None
    written = described("api.us.elevenlabs.io", "/v1/speech-to-text")
    assert written is not None
    assert written.request_model == "scribe_v1"
    assert written.api.read({"message": "accepted", "request_id": "1"}).state is None
    assert written.api.read(refused).state == "failed"
    assert dict(written.api.read({"text": ""}).usage) == {}


@pytest.mark.parametrize(
    ("query", "seconds"), [("model=nova-3", "10.5"), ("model=nova-3&multichannel=true", "21.0")]
)
def test_deepgram_bills_a_transcript_by_the_second_of_each_channel_that_is_read_alone(
    query: str, seconds: str
) -> None:
    event = played(f"{DEEPGRAM}/listen?{query}", {"url": "u"}, listened())
    assert (event.event_name, str(event.usage["audio_seconds"])) == ("audio_transcribed", seconds)
    assert (event.properties["provider"], event.properties["request_model"]) == (
        *("deepgram",),
        "nova-3",
    )
    assert event.properties["cost_source"] == "computed"


def test_deepgrams_voices_are_of_a_family_that_has_the_price() -> None:
    url = f"{DEEPGRAM}/speak?model=aura-2-thalia-en"
    event = played(url, {"text": "Ten chars."}, b"ID3", SOUND)
    assert (event.properties["request_model"], event.properties["voice"]) == (
        "aura-2",
        "aura-2-thalia-en",
    )
    assert (event.usage["characters"], event.properties["cost_usd"]) == (10, "0.0003")
    other = described("api.deepgram.com", "/v1/speak", text="x")
    assert other is not None
    assert other.request_model == "aura"


def test_odd_answers_of_deepgram_do_no_harm() -> None:
    call = described("api.deepgram.com", "/v1/listen")
    assert call is not None
    assert call.request_model == "base"
    refused = {"err_code": "INVALID_AUTH", "err_msg": "secret", "request_id": "1"}
    assert call.api.read(refused).error_type == "INVALID_AUTH"
    assert call.api.read({"request_id": "1"}) == Reading()  # it is sent elsewhere
    odd = call.api.settle(call.api.read(listened(duration="long", channels=-1)), call)
    assert (odd.state, dict(odd.usage), odd.raw) == ("success", {}, {})


@pytest.mark.parametrize(
    ("host", "path", "method"),
    [
        ("api.elevenlabs.io", "/v1/voices", "GET"),
        ("api.elevenlabs.io", "/v1/voices/add", "POST"),
        ("api.elevenlabs.io", "/v1/text-to-speech/v", "GET"),
        ("api.deepgram.com", "/v1/projects", "POST"),
    ],
)
def test_what_is_neither_speech_nor_a_transcript_is_no_call(
    host: str, path: str, method: str
) -> None:
    assert described(host, path, method) is None
