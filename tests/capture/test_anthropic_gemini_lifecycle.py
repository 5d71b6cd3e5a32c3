"""The lifecycle matrix once more, for Anthropic and Gemini."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from google import genai
from google.genai import types

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import assert_usage, events_of, only, only_kept
from tokenmeter import TokenMeter

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hello"}],
}
MODEL = "gemini-2.5-flash"
WHOLE_STREAM = {"input_tokens": 10, "output_tokens": 7}
WHOLE_GEMINI = {"input_tokens": 8, "output_tokens": 10, "reasoning_tokens": 4}


def claude(*answers: Answer, **options: Any) -> anthropic.Anthropic:
    http = Player(list(answers)).client()
    return anthropic.Anthropic(api_key="k", http_client=http, **options)


def async_claude(*answers: Answer) -> anthropic.AsyncAnthropic:
    http = Player(list(answers)).async_client()
    return anthropic.AsyncAnthropic(api_key="k", http_client=http)


def gemini(*answers: Answer, **http_options: Any) -> genai.Client:
    player = Player(list(answers))
    options = types.HttpOptions(
        httpx_client=player.client(), httpx_async_client=player.async_client(), **http_options
    )
    return genai.Client(api_key="k", http_options=options)


def test_a_message_is_captured(meter: TokenMeter) -> None:
    claude(wire.message()).messages.create(**ASK)
    assert_usage(only(meter), input_tokens=100, cache_read_tokens=90, output_tokens=5)


def test_a_message_stream_is_captured(meter: TokenMeter) -> None:
    stream = claude(wire.message_stream()).messages.create(**ASK, stream=True)
    assert isinstance(stream, anthropic.Stream)
    assert list(stream)[-1].type == "message_stop"
    assert_usage(only(meter), **WHOLE_STREAM)


def test_the_message_stream_helper_is_captured(meter: TokenMeter) -> None:
    with claude(wire.message_stream()).messages.stream(**ASK) as stream:
        assert stream.get_final_text() == "".join(wire.WORDS)
    assert_usage(only(meter), **WHOLE_STREAM)


def test_the_beta_stream_helper_is_captured(meter: TokenMeter) -> None:
    with claude(wire.message_stream()).beta.messages.stream(**ASK) as stream:
        stream.get_final_message()
    assert_usage(only(meter), **WHOLE_STREAM)


def test_an_aborted_message_stream_keeps_the_exact_input(meter: TokenMeter) -> None:
    stream = claude(wire.message_stream()).messages.create(**ASK, stream=True)
    for event in stream:
        if event.type == "content_block_delta":
            break
    stream.close()
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")
    assert found["input_tokens"] == 10
    assert found["output_tokens"] == 2  # "Meters": 6 bytes
    assert found["flags"] == "estimated:output_tokens,estimated:total_tokens"


async def test_async_with_and_break_is_captured_for_anthropic(meter: TokenMeter) -> None:
    async with await async_claude(wire.message_stream()).messages.create(
        **ASK, stream=True
    ) as stream:
        async for _ in stream:
            break
    assert only(meter).properties["outcome"] == "cancelled"


async def test_a_cancelled_anthropic_task_is_captured(meter: TokenMeter) -> None:
    reading, kept = asyncio.Event(), []

    async def read() -> None:
        stream = await async_claude(wire.message_stream()).messages.create(**ASK, stream=True)
        kept.append(stream)
        async for _ in stream:
            reading.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(reading.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    meter.shutdown()
    assert only_kept(meter).properties["outcome"] == "cancelled"


def test_anthropic_raw_and_streaming_responses_are_captured(meter: TokenMeter) -> None:
    client = claude(wire.message(), wire.message_stream(), wire.message("msg_3"))
    assert client.messages.with_raw_response.create(**ASK).parse().usage.output_tokens == 5
    raw = client.messages.with_raw_response.create(**ASK, stream=True)
    assert isinstance(raw.parse(), anthropic.Stream)
    for _ in raw.parse():
        pass
    with client.messages.with_streaming_response.create(**ASK) as answer:
        assert answer.parse().id == "msg_3"
    first, second, third = events_of(meter)
    assert_usage(first, input_tokens=100)
    assert_usage(second, **WHOLE_STREAM)
    assert_usage(third, input_tokens=100)


async def test_an_async_streaming_response_is_captured_for_anthropic(meter: TokenMeter) -> None:
    create = async_claude(wire.message()).messages.with_streaming_response.create
    async with create(**ASK) as answer:
        await answer.parse()
    assert_usage(only(meter), input_tokens=100, output_tokens=5)


def test_anthropic_429_429_200_are_three_attempts_of_one_call(meter: TokenMeter) -> None:
    client = claude(wire.failure(), wire.failure(529), wire.message(), max_retries=2)
    client.messages.create(**ASK)
    facts = [event.properties for event in events_of(meter)]
    assert [fact["attempt"] for fact in facts] == [1, 2, 3]
    assert len({fact["call_id"] for fact in facts}) == 1


def test_anthropic_client_post_is_captured(meter: TokenMeter) -> None:
    claude(wire.message()).post("/v1/messages", cast_to=object, body=ASK)
    assert_usage(only(meter), input_tokens=100, output_tokens=5)


def test_a_gemini_answer_is_captured(meter: TokenMeter) -> None:
    gemini(wire.gemini()).models.generate_content(model=MODEL, contents="Hello")
    assert_usage(only(meter), input_tokens=8, output_tokens=7, reasoning_tokens=4)


def test_a_gemini_stream_is_captured(meter: TokenMeter) -> None:
    stream = gemini(wire.gemini_stream()).models.generate_content_stream(
        model=MODEL, contents="Hello"
    )
    assert "".join(chunk.text or "" for chunk in stream) == "".join(wire.WORDS)
    assert_usage(only(meter), **WHOLE_GEMINI)


async def test_async_gemini_calls_are_captured(meter: TokenMeter) -> None:
    models = gemini(wire.gemini(), wire.gemini_stream()).aio.models
    await models.generate_content(model=MODEL, contents="Hello")
    async for _ in await gemini(wire.gemini_stream()).aio.models.generate_content_stream(
        model=MODEL, contents="Hello"
    ):
        pass
    first, second = events_of(meter)
    assert_usage(first, input_tokens=8, output_tokens=7)
    assert_usage(second, **WHOLE_GEMINI)


def test_an_aborted_gemini_stream_keeps_what_was_reported(meter: TokenMeter) -> None:
    stream = gemini(wire.gemini_stream()).models.generate_content_stream(
        model=MODEL, contents="Hello"
    )
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    del stream
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "partial")
    assert (found["input_tokens"], found["output_tokens"]) == (8, 5)


def test_a_gemini_stream_cut_before_it_counted_its_answer_is_estimated(meter: TokenMeter) -> None:
    begun = {
        "candidates": [{"content": {"parts": [{"text": "Water it well. " * 8}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
        "modelVersion": MODEL,
    }
    for _ in gemini(Answer(200, dict(wire.SSE), wire.sse(begun))).models.generate_content_stream(
        model=MODEL, contents="Hello"
    ):
        pass
    found = only(meter).properties
    assert (found["input_tokens"], found["output_tokens"]) == (8, 30)  # 120 bytes
    assert found["usage_source"] == "estimated"
    assert "estimated:output_tokens" in str(found["flags"])


def test_gemini_automatic_function_calling_is_metered_call_by_call(meter: TokenMeter) -> None:
    import json

    call = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}
    body = json.loads(wire.gemini("g-7").chunks[0])
    body["candidates"][0]["content"]["parts"] = [call]
    first = Answer(200, dict(wire.JSON), [json.dumps(body).encode()])

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sun in {city}"

    config = types.GenerateContentConfig(tools=[weather])
    answer = gemini(first, wire.gemini("g-8")).models.generate_content(
        model=MODEL, contents="Weather in Rome?", config=config
    )
    assert answer.text == "Hi"
    assert [event.properties["input_tokens"] for event in events_of(meter)] == [8, 8]


def test_gemini_429_429_200_are_three_attempts_of_one_call(meter: TokenMeter) -> None:
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.001)
    client = gemini(wire.failure(), wire.failure(503), wire.gemini(), retry_options=retries)
    client.models.generate_content(model=MODEL, contents="Hello")
    facts = [event.properties for event in events_of(meter)]
    assert [fact["attempt"] for fact in facts] == [1, 2, 3]
    assert len({fact["call_id"] for fact in facts}) == 1
    assert [fact["outcome"] for fact in facts] == ["failed", "failed", "success"]
