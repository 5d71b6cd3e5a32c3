"""requests, aiohttp and boto3, whatever comes: the user's call is as without us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.alike import ASK, STREAM
from tests.capture.play import Answer, Player, chunks_of
from tests.capture.taps import bedrock
from tests.capture.taps.sessions import playing
from tests.capture.taps.test_tap_mutations import Both
from tests.capture.taps.test_tap_mutations import both as both  # the fixture
from tests.capture.test_bad_input import NO_COUNTS, NOT_JSON
from tokenmeter import Event

URL = "http://api.openai.com/v1/chat/completions"
KINDS = ("application/json", "text/event-stream", "text/html", "")
PICTURE = "A" * 10_000_000
Call = Callable[[Both, Answer, dict[str, Any]], Any]


def by_requests(_both: Both, answer: Answer, asked: dict[str, Any]) -> Any:
    with playing(Player([answer])) as session:
        response = session.post(URL, json=asked, stream=bool(asked.get("stream")))
        return response.status_code, response.content, sorted(response.headers.items())


def by_aiohttp(both: Both, answer: Answer, asked: dict[str, Any]) -> Any:
    async def send() -> Any:
        both.server.play(answer)
        async with (
            aiohttp.ClientSession(proxy=both.server.url) as session,
            session.post(URL, json=asked) as response,
        ):
            return response.status, await response.read(), sorted(response.headers.items())

    return asyncio.run(send())


def by_boto3(both: Both, answer: Answer, asked: dict[str, Any]) -> Any:
    both.server.play(answer)
    operation = both.aws.converse_stream if asked.get("stream") else both.aws.converse
    found = operation(**bedrock.ASK)
    found.pop("ResponseMetadata")
    return list(found["stream"]) if "stream" in found else found


BY: dict[str, Call] = {"requests": by_requests, "aiohttp": by_aiohttp, "boto3": by_boto3}


def answer_of(body: bytes, content_type: str) -> Answer:
    named = {"content-type": content_type} if content_type else {}
    return Answer(200, named, chunks_of(body, max(100, len(body) // 50)))


def events(both: Both, by: str, answer: Answer, asked: dict[str, Any]) -> list[Event]:
    return both.compared(lambda: BY[by](both, answer, asked), b"".join(answer.chunks))


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_handed_on_and_its_usage_is_missing(
    both: Both, body: bytes, by: str
) -> None:
    for asked in (ASK, STREAM):
        for content_type in KINDS if by != "boto3" else KINDS[:1]:
            for event in events(both, by, answer_of(body, content_type), asked):
                assert event.properties["usage_source"] in {"missing", "estimated"}


@pytest.mark.parametrize("by", ["requests", "aiohttp"])
@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_usage_that_is_no_count_is_left_out_and_flagged(both: Both, count: Any, by: str) -> None:
    body = json.loads(wire.chat().chunks[0])
    body["usage"]["prompt_tokens"] = count
    answer = answer_of(json.dumps(body).encode(), "application/json")
    (event,) = events(both, by, answer, ASK)
    assert event.usage.get("input_tokens") is None
    assert "invalid:prompt_tokens" in str(event.properties["flags"])
    assert event.usage.output_tokens == 2


@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_bedrocks_usage_that_is_no_count_is_left_out(both: Both, count: Any) -> None:
    body = json.loads(bedrock.converse().chunks[0])
    body["usage"]["inputTokens"] = count
    answer = answer_of(json.dumps(body).encode(), "application/json")
    (event,) = events(both, "boto3", answer, {})
    assert event.usage.get("input_tokens") is None
    assert event.usage.output_tokens == 6


@pytest.mark.parametrize("by", ["requests", "aiohttp"])
def test_a_picture_of_ten_megabytes_is_counted_and_handed_on(both: Both, by: str) -> None:
    body = json.loads(wire.chat().chunks[0])
    body["choices"][0]["message"]["content"] = PICTURE
    (event,) = events(both, by, answer_of(json.dumps(body).encode(), "application/json"), ASK)
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 2)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_every_refusal_is_handed_on_and_is_a_failure(both: Both, by: str, status: int) -> None:
    (event,) = events(both, by, Answer(status, dict(wire.JSON), [b'{"message": "no"}']), ASK)
    assert event.properties["http_status"] == str(status)
    assert event.properties["outcome"] == "failed"
    assert not {"input_tokens", "output_tokens"} & event.usage.keys()
