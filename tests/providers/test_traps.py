"""
The 18 traps of usage on the wire (facts/usage.md §5.3), each by a whole exchange.

Answers written here go through httpx2 and its tap, and what is judged are the events. Many are
also tested where the format is read, down to the last field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from google import genai
from google.genai import types

from tests.capture.play import Answer, Player
from tests.capture.wire import JSON, named_sse, sse
from tests.providers.exchanges import (
    ASK,
    OPENAI,
    Json,
    Wire,
    chat,
    chat_usage,
    check_says,
    gemini,
    message,
    response,
)
from tokenmeter import TokenMeter

CLAUDE = "https://api.anthropic.com/v1/messages"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
AZURE = "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"


@pytest.fixture
def metered() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()
    assert not made.faults


@pytest.fixture
def wire(metered: TokenMeter) -> Wire:
    return Wire(metered)


def test_trap_01_anthropic_input_is_the_sum_never_input_tokens_alone(wire: Wire) -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 2_074,
        "cache_creation_input_tokens": 297,
        "output_tokens": 5,
    }
    found = wire(CLAUDE, message(usage))
    check_says(found, input_tokens=2_374, uncached_input_tokens=3, cache_read_tokens=2_074)
    check_says(found, cache_write_tokens=297, output_tokens=5, total_tokens=2_379)


def test_trap_02_openais_cached_tokens_lie_inside_the_input(wire: Wire) -> None:
    found = wire.chat(chat_usage(1_318, 183, prompt_tokens_details={"cached_tokens": 1_152}))
    check_says(found, input_tokens=1_318, cache_read_tokens=1_152, uncached_input_tokens=166)
    used: Json = {"input_tokens": 100, "output_tokens": 7, "total_tokens": 107}
    body = response({**used, "input_tokens_details": {"cached_tokens": 64}})
    found = wire(f"{OPENAI}/responses", body)
    check_says(found, input_tokens=100, cache_read_tokens=64, uncached_input_tokens=36)


def test_trap_03_geminis_thoughts_and_tool_prompts_lie_outside(wire: Wire) -> None:
    metadata = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 90,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 700,
        "totalTokenCount": 820,
    }
    found = wire(f"{GOOGLE}:generateContent", gemini(metadata), {"contents": []})
    check_says(found, input_tokens=100, output_tokens=720, reasoning_tokens=700, total_tokens=820)


def test_trap_04_xais_reasoning_lies_outside_and_elsewhere_inside(wire: Wire) -> None:
    usage = chat_usage(32, 9, completion_tokens_details={"reasoning_tokens": 110})
    found = wire.chat({**usage, "total_tokens": 151}, "https://api.x.ai/v1/chat/completions")
    check_says(found, output_tokens=119, reasoning_tokens=110, total_tokens=151)
    usage = chat_usage(32, 119, completion_tokens_details={"reasoning_tokens": 110})
    check_says(wire.chat(usage), output_tokens=119, reasoning_tokens=110, total_tokens=151)


@pytest.mark.parametrize(
    ("model", "sent", "total"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 2, 12_401),
        ("openai.gpt-5.5", 12_401, 12_401),
        ("amazon.nova-pro-v1:0", 2, 12_401),
    ],
)
def test_trap_05_bedrocks_input_holds_cached_tokens_or_not_by_family(
    wire: Wire, model: str, sent: int, total: int
) -> None:
    usage = {
        "inputTokens": sent,
        "outputTokens": 7,
        "cacheReadInputTokens": 8_367,
        "cacheWriteInputTokens": 4_032,
        "totalTokens": sent + 7 + 8_367 + 4_032,
    }
    found = wire(f"{BEDROCK}/{model}/converse", {"output": {}, "usage": usage}, {"messages": []})
    check_says(found, input_tokens=total, cache_read_tokens=8_367, cache_write_tokens=4_032)
    check_says(found, uncached_input_tokens=2, output_tokens=7)


def test_trap_06_anthropics_delta_overwrites_and_never_adds(wire: Wire) -> None:
    started = message({"input_tokens": 600, "output_tokens": 5})
    grown = {"input_tokens": 5_500, "output_tokens": 500}
    stream = named_sse(
        {"type": "message_start", "message": started},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 250}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": grown},
        {"type": "message_stop"},
    )
    check_says(wire(CLAUDE, stream), input_tokens=5_500, output_tokens=500, total_tokens=6_000)


def test_trap_07_a_retrieve_or_a_poll_repeats_the_usage_and_is_no_second_event(
    wire: Wire, metered: TokenMeter
) -> None:
    used = {"input_tokens": 100, "output_tokens": 7, "total_tokens": 107}
    created = wire.all(f"{OPENAI}/responses", response(used))
    seen = [wire.all(f"{OPENAI}/responses/resp_{'a' * 48}", response(used), None) for _ in "ab"]
    metered.flush(30)
    (kept,) = metered.backend.events
    assert [event.event_id for event in created] == [kept.event_id]
    assert {event.event_id for events in seen for event in events} <= {kept.event_id}
    check_says(kept.properties, input_tokens=100, output_tokens=7)


def test_trap_08_live_seconds_are_cumulative(metered: TokenMeter) -> None:
    session = {"id": "sess_1", "type": "realtime", "model": "gpt-live-1"}
    metered.read_event("openai", {"type": "session.created", "session": session})
    for seconds in (10, 25, 25, 40):
        metered.read_event(
            "openai",
            {
                "type": "session.usage.updated",
                "session_id": "sess_1",
                "usage": {"type": "duration", "seconds": seconds},
            },
        )
    metered.flush(30)
    assert sum(event.usage.audio_seconds for event in metered.backend.events) == 40


def test_trap_09_a_realtime_transcript_runs_on_another_model(metered: TokenMeter) -> None:
    listener = {"transcription": {"model": "gpt-4o-mini-transcribe"}}
    session = {"id": "sess_1", "model": "gpt-realtime", "audio": {"input": listener}}
    tokens = {"type": "tokens", "input_tokens": 20, "output_tokens": 6, "total_tokens": 26}
    spoken = {"input_tokens": 132, "output_tokens": 121, "total_tokens": 253}
    said = {"id": "resp_1", "object": "realtime.response", "status": "completed", "usage": spoken}
    transcribed = "conversation.item.input_audio_transcription.completed"
    metered.read_event("openai", {"type": "session.created", "session": session})
    metered.read_event("openai", {"type": transcribed, "item_id": "i", "usage": tokens})
    metered.read_event("openai", {"type": "response.done", "response": said})
    metered.flush(30)
    found = {e.properties["request_model"]: e.usage.input_tokens for e in metered.backend.events}
    assert found == {"gpt-4o-mini-transcribe": 20, "gpt-realtime": 132}


def test_trap_10_tool_usage_stands_apart_from_usage(wire: Wire) -> None:
    used = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    drawn = {"input_tokens": 60, "output_tokens": 4_160, "total_tokens": 4_220}
    calls = [{"type": "web_search_call", "action": {"type": "open_page"}}] * 3
    tools = {"web_search": {"num_requests": 1}, "image_gen": drawn}
    body = response(used, output=calls, tool_usage=tools)
    own, part = sorted(wire.all(f"{OPENAI}/responses", body), key=lambda e: "part" in e.properties)
    check_says(own.properties, input_tokens=100, output_tokens=20, web_search_count=1)
    check_says(part.properties, input_tokens=60, output_tokens=4_160, part="image_gen")
    assert part.event_name == "image_generated"


def test_trap_11_svg_usage_stands_apart_from_usage(wire: Wire) -> None:
    body = {
        "created": 1_790_000_000,
        "data": [{"b64_json": "iVBOR"}],
        "usage": {"input_tokens": 10, "output_tokens": 30, "total_tokens": 40},
        "svg_usage": {
            "model": "gpt-5.6",
            "input_tokens": 90,
            "output_tokens": 70,
            "reasoning_tokens": 20,
        },
    }
    events = wire.all(f"{OPENAI}/images/generations", body, {"model": "gpt-image-2"})
    own, part = sorted(events, key=lambda event: "part" in event.properties)
    check_says(own.properties, input_tokens=10, output_tokens=30, image_count=1)
    check_says(
        part.properties, model="gpt-5.6", input_tokens=90, output_tokens=70, reasoning_tokens=20
    )


def test_trap_12_a_compaction_stands_apart_from_usage(wire: Wire) -> None:
    own_part = {"type": "message", "input_tokens": 300, "output_tokens": 40}
    entries = [{"type": "compaction", "input_tokens": 150_000, "output_tokens": 2_500}, own_part]
    usage = {"input_tokens": 300, "output_tokens": 40, "iterations": entries}
    events = wire.all(f"{CLAUDE}?beta=true", message(usage))
    own, part = sorted(events, key=lambda event: "part" in event.properties)
    check_says(own.properties, input_tokens=300, output_tokens=40)
    check_says(part.properties, input_tokens=150_000, output_tokens=2_500)


def test_trap_13_each_hop_of_geminis_function_calling_is_an_event(metered: TokenMeter) -> None:
    def weather(city: str) -> str:
        """Say what the weather is."""
        return f"dry in {city}"

    def hop(number: int, *parts: Json) -> Answer:
        metadata = {"promptTokenCount": 10 * number, "candidatesTokenCount": number}
        metadata["totalTokenCount"] = 11 * number
        body = gemini(metadata, *parts, responseId=f"r-{number}")
        return Answer(200, dict(JSON), [json.dumps(body).encode()])

    asked = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}
    player = Player([hop(1, asked), hop(2, asked), hop(3, {"text": "Dry."})])
    with metered.run() as run, httpx2.Client(transport=player.transport()) as http:
        options = types.HttpOptions(httpx_client=http)
        client = genai.Client(api_key="k", http_options=options)
        config = types.GenerateContentConfig(tools=[weather])
        answer = client.models.generate_content(
            model="gemini-2.5-flash", contents="And in Rome?", config=config
        )
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 30  # all that a wrapper would see
    assert [event.usage.input_tokens for event in run.events] == [10, 20, 30]
    assert run.usage.output_tokens == 6


def test_trap_14_the_tier_that_served_beats_the_one_that_was_asked_for(wire: Wire) -> None:
    asked = {**ASK, "service_tier": "flex"}
    body = chat(chat_usage(9, 2), service_tier="default")
    assert wire(f"{OPENAI}/chat/completions", body, asked)["service_tier"] == "default"
    body = message({"input_tokens": 1, "output_tokens": 1, "service_tier": "priority"})
    assert wire(CLAUDE, body, {**ASK, "service_tier": "auto"})["service_tier"] == "priority"


def test_trap_15_null_usage_and_azures_first_chunk_report_nothing(wire: Wire) -> None:
    filters = [{"prompt_index": 0, "content_filter_results": {}}]
    first = {"id": "", "model": "", "choices": [], "prompt_filter_results": filters}
    text = [{"index": 0, "delta": {"content": "Hi"}}]
    end = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    named = {"id": "chatcmpl-1", "model": "gpt-4o-2024-11-20"}
    stream = sse(
        first,
        {**named, "choices": text, "usage": None},
        {**named, "choices": end, "usage": None},
        {**named, "choices": [], "usage": chat_usage(9, 2)},
        done=True,
    )
    found = wire(AZURE, stream, {**ASK, "stream_options": {"include_usage": True}})
    check_says(found, input_tokens=9, output_tokens=2, model="gpt-4o-2024-11-20", flags=None)
    found = wire(AZURE, [*sse(first, {**named, "choices": end, "usage": None}, done=True)])
    check_says(found, input_tokens=None, output_tokens=None, usage_source="missing")


def test_trap_16_an_explicit_zero_is_not_missing(wire: Wire) -> None:
    zero = {"cached_tokens": 0}
    found = wire.chat(chat_usage(0, 0, prompt_tokens_details=zero))
    check_says(
        found, input_tokens=0, output_tokens=0, cache_read_tokens=0, usage_source="reported"
    )
    found = wire.chat(None)
    check_says(found, input_tokens=None, cache_read_tokens=None, usage_source="missing")


def test_trap_17_prediction_tokens_are_a_subset_of_the_output(wire: Wire) -> None:
    details = {"accepted_prediction_tokens": 60, "rejected_prediction_tokens": 20}
    found = wire.chat(chat_usage(9, 100, completion_tokens_details=details))
    check_says(found, output_tokens=100, total_tokens=109)


def test_trap_18_a_cache_split_smaller_than_the_total_is_filled_up_and_flagged(
    wire: Wire,
) -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 50},
    }
    found = wire(CLAUDE, message(usage))
    check_says(found, input_tokens=110, cache_write_tokens=100)
    check_says(found, cache_write_5m_tokens=50, cache_write_1h_tokens=50)
    assert found["flags"] == "cache_split_short"
