"""The lifecycle matrix of facts/usage.md 2.3: every way to call OpenAI, captured whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tokenmeter import Event, TokenMeter

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
TOTALS = {"input_tokens": 9, "output_tokens": 6}


def client_of(*answers: Answer, **options: Any) -> tuple[openai.OpenAI, Player]:
    player = Player(list(answers))
    return openai.OpenAI(api_key="k", http_client=player.client(), **options), player


def async_client_of(*answers: Answer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", http_client=Player(list(answers)).async_client())


def events_of(meter: TokenMeter) -> list[Event]:
    assert meter.flush(30)
    events: list[Event] = meter.backend.events
    return events


def only(meter: TokenMeter) -> Event:
    events = events_of(meter)
    assert len(events) == 1
    return events[0]


def assert_usage(event: Event, **metrics: int) -> None:
    assert {name: event.properties.get(name) for name in metrics} == metrics
    assert event.properties["usage_source"] == "reported"
    assert event.properties["outcome"] == "success"


def test_a_chat_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat())
    answer = client.chat.completions.create(**ASK)
    assert answer.usage is not None
    event = only(meter)
    assert_usage(event, input_tokens=9, output_tokens=2)
    assert event.event_name == "text_generated"
    assert event.external_customer_id == "unattributed"
    assert event.properties["model_type"] == "gpt-4o-mini"
    assert event.properties["request_model"] == "gpt-4o-mini"


def test_a_stream_without_stream_options_reports_usage_that_the_user_does_not_see(
    meter: TokenMeter,
) -> None:
    client, player = client_of(wire.chat_stream())
    stream = client.chat.completions.create(**ASK, stream=True)
    assert isinstance(stream, openai.Stream)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(wire.WORDS)
    sent = json.loads(player.sent[0].content)
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(stream.response.request.content)
    assert_usage(only(meter), **TOTALS)


def test_a_stream_that_asked_for_usage_gets_its_chunk(meter: TokenMeter) -> None:
    client, player = client_of(wire.chat_stream())
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(**ASK, stream=True, stream_options=options))  # type: ignore[call-overload]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 15
    assert json.loads(player.sent[0].content)["stream_options"] == options
    assert_usage(only(meter), **TOTALS)


def test_a_break_with_the_stream_alive_is_recorded_at_shutdown(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat_stream())
    stream = client.chat.completions.create(**ASK, stream=True)
    for _ in stream:
        break
    meter.shutdown()
    event = only_kept(meter)
    assert event.properties["outcome"] == "cancelled"
    assert event.properties["usage_source"] == "estimated"
    assert event.properties["output_tokens"] >= 1  # type: ignore[operator]
    del stream


def only_kept(meter: TokenMeter) -> Event:
    events: list[Event] = meter.backend.events
    assert len(events) == 1
    return events[0]


async def test_async_with_and_break_is_captured(meter: TokenMeter) -> None:
    client = async_client_of(wire.chat_stream())
    async with await client.chat.completions.create(**ASK, stream=True) as stream:
        assert isinstance(stream, openai.AsyncStream)
        async for _ in stream:
            break
    event = only(meter)
    assert event.properties["outcome"] == "cancelled"
    assert event.properties["usage_source"] == "estimated"


async def test_a_cancelled_task_is_captured_with_its_stream_alive(meter: TokenMeter) -> None:
    client = async_client_of(wire.chat_stream())
    reading = asyncio.Event()
    kept: list[Any] = []

    async def read() -> None:
        stream = await client.chat.completions.create(**ASK, stream=True)
        kept.append(stream)
        async for _ in stream:
            reading.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(read())
    await asyncio.wait_for(reading.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    meter.shutdown()
    assert only_kept(meter).properties["outcome"] == "cancelled"


def test_a_raw_response_with_a_stream_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat_stream())
    raw = client.chat.completions.with_raw_response.create(**ASK, stream=True)
    assert raw.headers["content-type"] == "text/event-stream"
    parsed = raw.parse()
    assert isinstance(parsed, openai.Stream)
    assert len(list(parsed)) == len(wire.WORDS) + 1
    assert_usage(only(meter), **TOTALS)


def test_a_streaming_response_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat())
    with client.chat.completions.with_streaming_response.create(**ASK) as answer:
        assert answer.parse().usage.total_tokens == 11
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_streaming_response_of_a_stream_read_by_lines_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat_stream())
    create = client.chat.completions.with_streaming_response.create
    with create(**ASK, stream=True) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert len(lines) == len(wire.WORDS) + 2
    assert_usage(only(meter), **TOTALS)


async def test_an_async_streaming_response_is_captured(meter: TokenMeter) -> None:
    client = async_client_of(wire.chat())
    async with client.chat.completions.with_streaming_response.create(**ASK) as answer:
        parsed = await answer.parse()
    assert parsed.usage.total_tokens == 11
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_429_429_200_are_three_attempts_of_one_call(meter: TokenMeter) -> None:
    client, _ = client_of(wire.failure(), wire.failure(), wire.chat(), max_retries=2)
    with meter.attribute(customer="acme"):
        client.chat.completions.create(**ASK)
    first, second, third = events_of(meter)
    facts = [event.properties for event in (first, second, third)]
    assert [fact["attempt"] for fact in facts] == [1, 2, 3]
    assert len({fact["call_id"] for fact in facts}) == 1
    assert [fact["outcome"] for fact in facts] == ["failed", "failed", "success"]
    assert [fact["billable"] for fact in facts] == ["false", "false", "true"]
    assert [fact.get("retry_of") for fact in facts] == [None, first.event_id, second.event_id]
    assert [fact.get("is_retry") for fact in facts] == [None, "true", "true"]
    assert facts[0]["error_type"]
    assert facts[0]["http_status"] == "429"


def test_a_response_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.response_answer())
    client.responses.create(model="gpt-5-mini", input="Hello")
    assert_usage(only(meter), input_tokens=20, output_tokens=8, reasoning_tokens=3)


def test_a_response_stream_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.response_stream())
    stream = client.responses.create(model="gpt-5-mini", input="Hello", stream=True)
    assert isinstance(stream, openai.Stream)
    assert list(stream)[-1].type == "response.completed"
    assert_usage(only(meter), input_tokens=20, output_tokens=8)


def test_the_response_stream_helper_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.response_stream())
    with client.responses.stream(model="gpt-5-mini", input="Hello") as stream:
        for event in stream:
            if event.type == "response.completed":
                break
    assert_usage(only(meter), input_tokens=20, output_tokens=8)


def test_an_image_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.image())
    client.images.generate(model="gpt-image-1", prompt="a lamp", size="1024x1024", quality="high")
    event = only(meter)
    assert_usage(event, input_tokens=12, output_tokens=4160, image_count=1)
    assert event.event_name == "image_generated"
    assert (event.properties["size"], event.properties["quality"]) == ("1024x1024", "high")


def test_client_post_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat())
    client.post("/chat/completions", cast_to=object, body=ASK)
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_the_chat_stream_helper_is_captured(meter: TokenMeter) -> None:
    client, _ = client_of(wire.chat_stream())
    with client.chat.completions.stream(**ASK) as stream:
        for _ in stream:
            pass
    assert_usage(only(meter), **TOTALS)


def test_include_usage_can_be_switched_off() -> None:
    from tokenmeter import Policy

    meter = TokenMeter("memory:", policy=Policy(include_usage=False))
    meter.instrument()
    client, player = client_of(wire.chat_stream(usage=False))
    list(client.chat.completions.create(**ASK, stream=True))
    assert "stream_options" not in json.loads(player.sent[0].content)
    assert only(meter).properties["usage_source"] == "missing"
    meter.shutdown()
