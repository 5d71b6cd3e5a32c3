"""Seedream on Ark: one image, sequences, streams, partial deliveries."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings

from tests.capture.play import Answer, Player
from tests.providers.junk import spoiled
from tests.providers.media import (
    Json,
    Step,
    asked,
    departures,
    is_clean,
    played,
    read,
    read_parsed,
    samples,
)
from tokenmeter import TokenMeter
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Reading

IMAGES = "https://ark.ap-southeast.bytepluses.com/api/v3/images/generations"
LITE = "seedream-5-0-260128"
REFUSED = {"code": "OutputImageSensitiveContentDetected", "message": "…"}
PICTURE = {"url": "https://x/1.jpeg", "size": "2720x1536"}
SAMPLES = [row for row in samples("byteplus") if "images" in row["call"]]


def answer(*data: Any, **usage: Any) -> Json:
    return {"model": LITE, "created": 1757323224, "data": list(data), "usage": usage}


def whole_answer(*data: Any, **usage: Any) -> Reading:
    return read(asked("POST", IMAGES, {"model": LITE}), answer(*data, **usage))


def image(index: Any, **fields: Any) -> Json:
    kind = "image_generation.partial_succeeded"
    return {"type": kind, "model": LITE, "image_index": index, "url": "u", "size": "2K", **fields}


def refused(index: int) -> Json:
    kind = "image_generation.partial_failed"
    return {"type": kind, "model": LITE, "image_index": index, "error": REFUSED}


def completed(**usage: Any) -> Json:
    return {"type": "image_generation.completed", "model": LITE, "created": 7, "usage": usage}


def sse(*events: Json, done: bool = True) -> str:
    lines = [f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def streamed(*events: Json) -> Reading:
    call = asked("POST", IMAGES, {"model": LITE, "stream": True})
    reader = EventReader(call.api)
    reader.feed(sse(*events, done=False).encode())
    reader.end()
    return call.api.settle(reader.reading, call)


@pytest.mark.parametrize("row", SAMPLES, ids=lambda row: row["id"])
def test_a_sample_gives_its_event(row: Any) -> None:
    assert departures(row, played(Step("POST", IMAGES, row["response"], row["request"]))) == []


def test_what_is_generated_is_billed_and_tokens_are_information() -> None:
    usage = {"generated_images": 3, "output_tokens": 48960, "total_tokens": 48960}
    body = {"model": LITE, "size": "2K", "sequential_image_generation": "auto"}
    event = played(Step("POST", IMAGES, answer(*[PICTURE] * 3, **usage), body)).event
    assert event.event_name == "image_generated"
    assert (event.usage.image_count, event.usage.output_count) == (3, 3)
    assert event.usage.output_tokens == 48960
    assert event.properties["usage_source"] == "reported"
    assert (event.properties["size"], event.properties["resolution"]) == ("2720x1536", "2K")
    assert event.properties["sequential"] == "true"


def test_trap_02_images_that_failed_do_not_count() -> None:
    reading = whole_answer(PICTURE, {"error": REFUSED}, generated_images=1)
    assert (reading.state, reading.usage.image_count) == ("success", 1)
    assert reading.flags == {"undelivered:1"}
    counted = whole_answer(PICTURE, {"error": REFUSED}, {"b64_json": ""})
    assert (counted.state, counted.usage.image_count) == ("success", 2)


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (answer({"error": REFUSED}, generated_images=0), REFUSED["code"]),
        (answer({"error": REFUSED}), REFUSED["code"]),
        (answer(generated_images=0), "no_output"),
        ({"error": {"code": "InvalidParameter"}}, "InvalidParameter"),
        ({"model": LITE, "data": None, "error": {"code": "Busy"}}, "Busy"),
    ],
)
def test_an_answer_without_an_image_has_failed(body: Json, error_type: str) -> None:
    reading = read(asked("POST", IMAGES, {"model": LITE}), body)
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert not reading.usage.image_count


def test_an_answer_that_says_nothing_is_missing_and_not_0() -> None:
    assert dict(whole_answer().usage) == {}
    assert dict(read(asked("POST", IMAGES), {"hello": 1}).usage) == {}


def test_references_and_searches_are_seen() -> None:
    usage: Json = {"input_images": 2, "tool_usage": {"web_search": 1}, "layers": 4}
    reading = whole_answer(PICTURE, generated_images="1", output_tokens=True, **usage)
    assert reading.dimensions["input_images"] == "2"
    assert dict(reading.usage) == {"image_count": 1, "output_count": 1, "web_search_count": 1}
    assert reading.flags == {"invalid:output_tokens", "unknown:layers"}


def test_layers_count_as_the_provider_counts_them() -> None:
    assert whole_answer(PICTURE, PICTURE, generated_images=8).usage.image_count == 8


def test_a_stream_is_its_images_and_the_usage_at_its_end() -> None:
    events = (image(0), refused(1), image(2), completed(generated_images=2, output_tokens=9))
    body = {"model": LITE, "stream": True}
    event = played(Step("POST", IMAGES, sse(*events), body)).event
    assert (event.usage.image_count, event.usage.output_tokens) == (2, 9)
    assert (event.properties["outcome"], event.properties["streamed"]) == ("success", "true")


def test_a_stream_that_breaks_off_keeps_the_images_it_delivered() -> None:
    many = [image(n) for n in range(6)]
    reading = streamed(*many, image(5))
    assert (reading.usage.image_count, reading.usage.output_count) == (6, 6)
    assert reading.state is None
    assert dict(streamed().usage) == {}
    odd = streamed(image(True), image(10**6), image(0, url=None))
    assert dict(odd.usage) == {}
    assert "invalid:image" in odd.flags


def test_leaving_a_stream_bills_the_images_that_came_and_invents_no_tokens() -> None:
    meter = TokenMeter(backend="memory:")
    chunks = [sse(image(n), done=False).encode() for n in range(5)]
    played_slowly = Player([Answer(200, {"content-type": "text/event-stream"}, chunks)])
    client = meter.wrap(played_slowly.client(httpx2))
    with client.stream("POST", IMAGES, json={"model": LITE, "stream": True, "prompt": "p"}) as it:
        next(it.iter_raw())
    assert meter.flush(30)
    (event,) = meter.backend.events
    meter.shutdown()
    assert event.properties["outcome"] == "cancelled"
    assert dict(event.usage) == {"image_count": 1, "output_count": 1, "request_count": 1}


def test_a_stream_without_an_image_has_failed_for_the_reason_of_its_images() -> None:
    reading = streamed(refused(0), completed(generated_images=0))
    assert (reading.state, reading.error_type) == ("failed", REFUSED["code"])
    assert reading.usage.image_count == 0
    broken = streamed({"error": {"code": "BadRequest", "message": "…"}})
    assert (broken.state, broken.error_type) == ("failed", "BadRequest")


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({}, {"size": "2048x2048", "resolution": "2K", "input_type": "text"}),
        ({"size": "4k"}, {"size": "4K", "resolution": "4K", "sequential": "false"}),
        ({"size": "2048x1152"}, {"size": "2048x1152", "resolution": "1K"}),
        ({"size": "3072x3072"}, {"resolution": "3K"}),
        ({"size": "4096x4096"}, {"resolution": "4K"}),
        ({"size": "auto", "image": ["u"]}, {"size": "auto", "input_type": "image"}),
        (
            {
                "sequential_image_generation": "auto",
                "sequential_image_generation_options": {"max_images": 4},
            },
            {"n": "4", "sequential": "true"},
        ),
    ],
)
def test_size_and_tier_are_dimensions(body: Json, facts: Json) -> None:
    call = asked("POST", IMAGES, {"model": LITE, **body})
    assert facts.items() <= call.dimensions.items()
    assert ("n" in call.dimensions) is ("n" in facts)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    spoiled(
        [
            answer(PICTURE, {"error": REFUSED}, generated_images=1, output_tokens=5),
            image(0),
            refused(1),
            completed(generated_images=1, total_tokens=5),
            {
                "model": LITE,
                "size": "2K",
                "sequential_image_generation_options": {"max_images": 2},
            },
        ]
    )
)
def test_no_junk_raises_or_becomes_a_number(payloads: list[Any]) -> None:
    body = payloads.pop()
    call = asked("POST", IMAGES, body if isinstance(body, dict) else {})
    assert {type(value) for value in call.dimensions.values()} <= {str}
    assert is_clean(read_parsed(call, payloads[0]))
    assert is_clean(read_parsed(call, *payloads[1:]))
