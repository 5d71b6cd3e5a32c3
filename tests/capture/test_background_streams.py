"""A job that is streamed goes on at its provider when the stream is left: its end counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_jobs import JOB, assert_settled, openai_of, poll
from tests.capture.test_openai_lifecycle import events_of, only
from tokenmeter import TokenMeter

BROKEN = httpx2.ReadError("the connection broke")


def in_background(events: list[bytes]) -> list[bytes]:
    return [event.replace(b'"background": false', b'"background": true') for event in events]


def begun(error: Exception | None = None) -> Answer:
    """A stream's beginning; it breaks off with `error`."""
    whole = wire.response_stream(JOB)
    return replace(whole, chunks=in_background(whole.chunks)[:3], error=error)


def leave(meter: TokenMeter, answer: Answer) -> None:
    with meter.attribute(customer="acme", feature="bg", tags={"team": "a"}):
        stream = openai_of(answer).responses.create(
            model="gpt-5-mini", input="Hello", background=True, stream=True
        )
        for _event in stream:
            if answer.error is None:
                break
        stream.close()


def test_a_background_stream_that_is_left_is_a_job_and_its_retrieve_is_the_event(
    meter: TokenMeter,
) -> None:
    leave(meter, begun())
    assert events_of(meter) == []
    assert meter.health()["jobs_pending"] == 1
    poll(meter, wire.response_answer(JOB))
    assert_settled(only(meter))
    assert meter.health()["jobs_pending"] == 0


def test_a_background_stream_whose_connection_breaks_is_a_job(meter: TokenMeter) -> None:
    with pytest.raises((httpx2.ReadError, openai.APIConnectionError)):
        leave(meter, begun(BROKEN))
    poll(meter, wire.response_answer(JOB))
    assert_settled(only(meter))


def test_a_stream_that_is_resumed_and_left_again_says_nothing_of_its_job(
    meter: TokenMeter,
) -> None:
    leave(meter, begun())
    with openai_of(begun()).responses.retrieve(JOB, stream=True, starting_after=1) as stream:
        next(iter(stream))
    assert events_of(meter) == []
    poll(meter, wire.response_answer(JOB))
    assert_settled(only(meter))


def test_a_stream_that_is_no_job_is_cancelled_where_it_is_left(meter: TokenMeter) -> None:
    whole = wire.response_stream(JOB)
    leave(meter, replace(whole, chunks=whole.chunks[:3]))
    assert only(meter).properties["outcome"] == "cancelled"


def test_a_mocks_job_is_found_again_by_its_short_id(meter: TokenMeter) -> None:
    answers = [wire.response_answer("resp_1", "queued"), wire.response_answer("resp_1")]
    client = openai.OpenAI(
        api_key="k", base_url="http://localhost:1/v1", http_client=Player(answers).client()
    )
    with meter.attribute(customer="acme"):
        client.responses.create(model="gpt-5-mini", input="Hello", background=True)
    client.responses.retrieve("resp_1")
    event = only(meter)
    assert (event.external_customer_id, meter.health()["jobs_pending"]) == ("acme", 0)


def interaction(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "v1_" + "b" * 40,
        "object": "interaction",
        "agent": "deep-research-pro",
        "status": status,
        **more,
    }


def test_an_interaction_in_the_background_outlives_its_stream(meter: TokenMeter) -> None:
    created = {"event_type": "interaction.created", "interaction": interaction("in_progress")}
    delta = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hi"}}
    usage = {"total_input_tokens": 20, "total_output_tokens": 8, "total_tokens": 28}
    done = json.dumps(interaction("completed", usage=usage)).encode()
    streamed = Answer(200, dict(wire.SSE), wire.sse(created, delta, delta))
    player = Player([streamed, Answer(200, dict(wire.JSON), [done])])
    url = "https://generativelanguage.googleapis.com/v1beta/interactions"
    asked = {"agent": "deep-research-pro", "input": "Hi", "background": True, "stream": True}
    with player.client() as client, meter.attribute(customer="acme"):
        with client.stream("POST", url, json=asked) as answer:
            next(answer.iter_raw())
        assert (events_of(meter), meter.health()["jobs_pending"]) == ([], 1)
        client.get(f"{url}/{created['interaction']['id']}")  # type: ignore[index]
    event = only(meter)
    assert (event.properties["outcome"], event.properties["input_tokens"]) == ("success", 20)
    assert (event.external_customer_id, meter.health()["jobs_pending"]) == ("acme", 0)
