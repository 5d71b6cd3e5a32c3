"""Mistral beside OpenAI's format: conversations, OCR, and the streams of its own client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import Json, ask, body_of, call, stream_of
from tokenmeter.providers.openai_images import COUNTED

HOST = "api.mistral.ai"
TALK = "/v1/conversations"
# A search brought in 900 tokens, which only the total and the connectors tell of.
SEARCHED = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 1_050,
    "connector_tokens": 900,
    "connectors": {"web_search": 2},
}


def talk(**fields: Any) -> Json:
    return {"object": "conversation.response", "conversation_id": "conv_1", **fields}


@pytest.mark.parametrize("path", [TALK, f"{TALK}/conv_1", f"{TALK}/conv_1/restart"])
def test_what_connectors_bring_into_a_conversation_is_input(path: str) -> None:
    asked = call(path, {"agent_id": "ag_1", "inputs": "x"}, host=HOST)
    outputs = [{"type": "tool.execution"}, {"type": "message.output", "model": "m-2505"}, "junk"]
    reading = body_of(asked, talk(usage=SEARCHED, outputs=outputs))
    assert (asked.provider, reading.state, reading.model) == ("mistral", "success", "m-2505")
    assert (reading.usage["input_tokens"], reading.usage["output_tokens"]) == (1_000, 50)
    assert reading.usage["total_tokens"] == 1_050
    assert reading.usage["web_search_count"] == 2
    assert not reading.flags


def test_two_answers_of_one_conversation_are_two_events() -> None:
    asked = call(TALK, {"model": "m", "inputs": "x"}, host=HOST)
    assert body_of(asked, talk(usage={"prompt_tokens": 1}, id="conv_1")).response_id is None


def test_the_stream_of_a_conversation_reports_its_usage_at_the_end() -> None:
    asked = call(TALK, {"model": "m", "inputs": "x", "stream": True}, host=HOST)
    piece = {"type": "message.output.delta", "model": "m-2505", "content": "Hi"}
    started = {"type": "conversation.response.started", "conversation_id": "conv_1"}
    done = {"type": "conversation.response.done", "usage": SEARCHED}
    assert stream_of(asked, started, piece).state is None
    reading = stream_of(asked, started, piece, done)
    assert (reading.state, reading.model, asked.streamed) == ("success", "m-2505", True)
    assert reading.usage["input_tokens"] == 1_000
    failed = {"type": "conversation.response.error", "message": "x", "code": 3000}
    assert (stream_of(asked, started, failed).error_type) == "3000"


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"type": "message.output.delta", "content": "Hi"}, "Hi"),
        ({"type": "message.output.delta", "content": {"type": "text", "text": "Hi"}}, "Hi"),
        ({"type": "message.output.delta", "content": {"type": "tool_reference"}}, ""),
        ({"type": "function.call.delta", "arguments": "{"}, "{"),
        ({"type": "tool.execution.done", "content": "Hi"}, ""),
        ({"content": 7}, ""),
    ],
)
def test_the_text_of_a_conversations_event_is_what_was_written(event: Json, wanted: str) -> None:
    text = call(TALK, {"model": "m"}, host=HOST).api.text
    assert text is not None
    assert text(event) == wanted


def test_ocr_is_counted_in_pages() -> None:
    asked = call("/v1/ocr", {"model": "mistral-ocr-latest"}, host=HOST)
    body = {"pages": [], "model": "ocr-1", "usage_info": {"pages_processed": 3}}
    reading = body_of(asked, body)
    assert (asked.api.event_name, reading.state) == ("api_calls", "success")
    assert reading.model == "ocr-1"
    assert dict(reading.usage) == {"page_count": 3}
    junk = body_of(asked, {"usage_info": {"pages_processed": -1}})
    assert not junk.usage
    assert junk.flags == {"invalid:pages_processed"}


def test_what_makes_nothing_is_not_metered() -> None:
    assert ask(TALK, method="GET", host=HOST) is None
    assert ask(f"{TALK}/conv_1/messages", {}, host=HOST) is None
    assert ask("/v1/agents", {"model": "m"}, host=HOST) is None
    assert ask(TALK, {"items": []}) is None, "OpenAI's conversations generate nothing"


def test_mistrals_transcript_stream_ends_with_its_usage() -> None:
    body = {"model": "voxtral-mini-latest", "stream": "true"}
    asked = call("/v1/audio/transcriptions", body, host=HOST)
    delta = {"type": "transcription.text.delta", "text": "Hi"}
    usage = {
        "prompt_audio_seconds": 3,
        "prompt_tokens": 5,
        "completion_tokens": 20,
        "total_tokens": 400,
        "prompt_tokens_details": {"audio_tokens": 375},
    }
    done = {"type": "transcription.done", "model": "voxtral-1", "text": "Hi", "usage": usage}
    language = {"type": "transcription.language", "audio_language": "en"}
    assert stream_of(asked, language, delta).state is None
    reading = stream_of(asked, language, delta, delta, delta, done)
    assert (reading.state, reading.model) == ("success", "voxtral-1")
    assert (reading.usage["input_tokens"], reading.usage["input_audio_tokens"]) == (380, 375)
    assert (reading.usage["output_tokens"], reading.usage["audio_seconds"]) == (20, 3)
    assert asked.api.text is not None
    assert (asked.api.text(delta), asked.api.text(done)) == ("Hi", "")


def test_a_server_that_streams_a_transcript_as_a_chat_is_read_to_its_usage() -> None:
    asked = call("/v1/audio/transcriptions", {"model": "m", "stream": "true"}, host="vllm")
    piece = {"object": "transcription.chunk", "choices": [{"delta": {"content": "Hi"}}]}
    usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
    assert stream_of(asked, piece).state is None
    reading = stream_of(asked, piece, piece, {**piece, "choices": [], "usage": usage})
    assert (reading.state, reading.usage["input_tokens"]) == ("success", 30)
    assert asked.api.text is not None
    assert asked.api.text(piece) == "Hi"


def test_speech_that_comes_in_json_is_counted_in_characters() -> None:
    asked = call("/v1/audio/speech", {"model": "voxtral-tts", "input": "Hi"}, host=HOST)
    reading = body_of(asked, {"audio_data": "UklGR"})
    assert (reading.state, reading.flags) == ("success", COUNTED)
    assert dict(reading.usage) == {"characters": 2}
