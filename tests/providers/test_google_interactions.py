"""Interactions: whole, streamed, in the background, fetched again."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import types

from tests.providers.google_wire import GEMINI, VERTEX, Json, call, read_body, read_stream
from tokenmeter import TokenMeter
from tokenmeter.providers import Request
from tokenmeter.providers.google import describe

PATH = "/v1beta/interactions"


def usage(prompt: Any = 11, output: Any = 42, thought: Any = 126, **more: Any) -> Json:
    return {
        "total_input_tokens": prompt,
        "total_output_tokens": output,
        "total_thought_tokens": thought,
        "total_tokens": prompt + output + thought,
        **more,
    }


def interaction(status: str | None = "completed", **fields: Any) -> Json:
    return {
        "id": "v1_abc",
        "status": status,
        "object": "interaction",
        "model": "gemini-2.5-flash",
        "created": "2026-05-13T19:57:40Z",
        **fields,
    }


def create(**body: Any) -> Any:
    return call(PATH, **{"input": "Hi", "model": "gemini-2.5-flash", **body})


def test_thoughts_and_tool_use_are_added_to_the_totals() -> None:
    counts = usage(total_tool_use_tokens=9, total_tokens=188, total_cached_tokens=4)
    reading = read_body(create(), interaction(usage=counts, service_tier="standard"))
    assert dict(reading.usage) == {
        "input_tokens": 20,
        "uncached_input_tokens": 16,
        "tool_use_input_tokens": 9,
        "cache_read_tokens": 4,
        "output_tokens": 168,
        "reasoning_tokens": 126,
        "total_tokens": 188,
    }
    assert (reading.state, reading.response_id, reading.flags) == (
        "success",
        "v1_abc",
        frozenset(),
    )
    assert reading.dimensions == {"service_tier": "standard"}
    assert reading.created == "2026-05-13T19:57:40Z"


def test_tokens_are_split_by_modality() -> None:
    counts = {
        "total_input_tokens": 10,
        "total_output_tokens": 57920,
        "total_tokens": 57930,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 10}],
        "output_tokens_by_modality": [{"modality": "video", "tokens": 57920}],
    }
    asked = create(model="gemini-omni-1.1-flash", background=True)
    reading = read_body(asked, interaction(usage=counts))
    assert asked.api.event_name == "video_generated"
    assert (reading.usage.output_video_tokens, reading.usage.input_text_tokens) == (57920, 10)
    assert reading.flags == frozenset()


def test_searches_are_counted_as_google_bills_them() -> None:
    tools = [
        {"type": "google_search", "count": 3},
        {"type": "google_maps", "count": 2},
        {"type": "retrieval", "count": 1},
        {"type": "a new tool", "count": 1},
        {"type": "an old tool", "count": 0},
        {"type": "google_search", "count": "junk"},
        "junk",
    ]
    reading = read_body(create(), interaction(usage=usage(grounding_tool_count=tools)))
    assert reading.usage.web_search_count == 3
    assert reading.usage.maps_grounding_count == 2
    assert reading.usage.file_search_count == 1
    assert reading.flags == {"unknown:a new tool", "invalid:grounding_tool_count"}


@pytest.mark.parametrize("status", ["in_progress", "queued", "a new word"])
def test_an_interaction_in_the_background_is_a_job(status: str) -> None:
    asked = create(model=None, agent="deep-research-pro", background=True)
    reading = read_body(asked, interaction(status, model=None, agent="deep-research-pro"))
    assert (reading.state, reading.response_id) == ("pending", "v1_abc")
    assert (asked.request_model, reading.model) == ("deep-research-pro", None)
    assert asked.dimensions == {"agent": "deep-research-pro"}


@pytest.mark.parametrize("status", ["completed", "requires_action", "incomplete", None])
def test_an_interaction_that_ended_with_an_answer_has_succeeded(status: str | None) -> None:
    assert read_body(create(), interaction(status, usage=usage())).state == "success"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"status": "failed", "errors": [{"code": "quota_exceeded", "message": "…"}]},
         "quota_exceeded"),
        ({"status": "failed"}, "failed"),
        ({"status": "cancelled"}, "cancelled"),
        ({"error": {"code": "invalid_request", "message": "…"}}, "invalid_request"),
    ],
)  # fmt: skip
def test_an_interaction_that_ended_otherwise_has_failed(fields: Json, named: str) -> None:
    reading = read_body(create(), interaction(**fields))
    assert (reading.state, reading.error_type) == ("failed", named)


def test_trap_07_fetching_again_repeats_the_usage_under_the_same_id() -> None:
    fetched = call(f"{PATH}/v1_abc", method="GET")
    assert (fetched.repeated, fetched.job_id, fetched.api.owns_ids) == (True, "v1_abc", True)
    body = interaction(usage=usage())
    first, again = read_body(create(), body), read_body(fetched, body)
    assert (first.response_id, first.usage) == (again.response_id, again.usage)
    assert read_body(fetched, {"usage": usage()}).response_id == "v1_abc"


def test_fetching_may_stream() -> None:
    asked = describe(Request("GET", GEMINI, f"{PATH}/v1_abc", "stream=true&last_event_id=7"))
    assert asked is not None
    assert asked.streamed
    assert not call(f"{PATH}/v1_abc", method="GET").streamed


def test_vertex_serves_interactions_below_the_project() -> None:
    asked = call(f"/v1beta1/projects/p/locations/l{PATH[7:]}", VERTEX, input="Hi", model="m")
    assert (asked.provider, asked.api.operation) == ("google-vertex", "interactions")


CREATED: Json = {
    "event_type": "interaction.created",
    "interaction": interaction("in_progress"),
    "metadata": {"usage": usage(output=0, thought=68)},
}


def delta(**more: Any) -> Json:
    return {
        "event_type": "step.delta",
        "index": 1,
        "delta": {"type": "text", "text": "Hi"},
        **more,
    }


def test_what_each_call_within_an_interaction_was_given_is_not_billed_again() -> None:
    within = [{"prompt_tokens_details": [{"modality": "text", "tokens": 9_464}]}]
    counts = usage(
        raw_prompt_token=9_464,
        model_invocation_token_counts=within,
        non_grounding_model_invocation_token_counts=within,
        grounding_tool_count=[{"type": "google_search", "count": 2, "search_query_count": 3}],
    )
    reading = read_body(create(), interaction(usage=counts))
    assert (reading.usage["input_tokens"], reading.usage["web_search_count"]) == (11, 2)
    assert not reading.flags


@pytest.mark.parametrize("kind", ["interaction.completed", "interaction.complete"])
def test_a_stream_ends_with_the_whole_interaction(kind: str) -> None:
    done = {"event_type": kind, "interaction": interaction(usage=usage(service=0))}
    reading = read_stream(create(stream=True), CREATED, delta(), done, "[DONE]")
    assert (reading.usage.output_tokens, reading.state) == (168, "success")
    assert reading.flags == frozenset()
    assert create(stream=True).streamed


@pytest.mark.parametrize("name", ["usage", "total_usage"])
def test_the_last_report_of_an_aborted_stream_stands_as_a_whole(name: str) -> None:
    later = {"total_input_tokens": 11, "total_output_tokens": 3}
    reading = read_stream(
        create(stream=True),
        CREATED,
        delta(metadata={name: later}),
        {"event_type": "interaction.status_update", "status": "in_progress", "usage": {}},
    )
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (11, 3)
    assert "reasoning_tokens" not in reading.usage
    assert (reading.state, reading.response_id) == (None, "v1_abc")


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"event_type": "error", "error": {"code": "overloaded", "message": "…"}}, "overloaded"),
        ({"event_type": "error", "error": None}, "error"),
        ({"event_type": "interaction.status_update", "status": "cancelled"}, "cancelled"),
    ],
)
def test_an_error_in_a_stream_fails_it(event: Json, named: str) -> None:
    reading = read_stream(create(stream=True), CREATED, event)
    assert (reading.state, reading.error_type) == ("failed", named)
    assert reading.usage.input_tokens == 11


def picture(**more: Any) -> Json:
    return {"type": "image", "data": "", "mime_type": "image/png", **more}


def test_images_and_videos_of_an_answer_are_counted() -> None:
    steps = [
        {"type": "user_input", "content": [picture()]},
        {"type": "model_output", "content": [picture(), {"type": "text", "text": "Hi"}]},
        {"type": "model_output", "content": [picture(uri="u", data=None), {"type": "image"}]},
        "junk",
    ]
    reading = read_body(create(), interaction(usage=usage(), steps=steps))
    assert (reading.usage.image_count, reading.usage.output_count) == (2, 2)
    first_form = read_body(create(), interaction(usage=usage(), outputs=[picture()]))
    assert first_form.usage.image_count == 1


def test_images_of_a_stream_are_counted_once_per_step() -> None:
    pieces = [
        delta(delta=picture(data="aGk=")),
        delta(delta=picture()),
        delta(index="junk", delta=picture()),
    ]
    done = {"event_type": "interaction.completed", "interaction": interaction(usage=usage())}
    reading = read_stream(create(stream=True), CREATED, *pieces, done)
    assert (reading.usage.image_count, reading.usage.output_tokens) == (1, 168)


def test_seconds_of_a_video_are_those_asked_for() -> None:
    wanted = {"type": "video", "duration": "8s", "resolution": "1080p", "aspect_ratio": "9:16"}
    asked = create(model="gemini-omni-1.1-flash", response_format=wanted)
    assert asked.dimensions == {"resolution": "1080p", "aspect_ratio": "9:16"}
    clip = {"type": "video", "uri": "u"}
    steps = [{"type": "model_output", "content": [clip]}]
    reading = read_body(asked, interaction(usage=usage(), steps=steps))
    assert (reading.usage.video_seconds, reading.usage.video_count) == (8, 1)
    assert "video_seconds" not in read_body(asked, interaction(usage=usage())).usage


@pytest.mark.parametrize(
    ("body", "event_name"),
    [
        ({}, "text_generated"),
        ({"response_modalities": ["image"]}, "image_generated"),
        ({"response_format": [{"type": "text"}, {"type": "image"}]}, "image_generated"),
        ({"response_format": {"type": "audio"}}, "audio_generated"),
        ({"model": "gemini-3-pro-image"}, "image_generated"),
    ],
)
def test_the_event_is_named_after_what_was_asked_for(body: Json, event_name: str) -> None:
    assert create(**body).api.event_name == event_name


def test_size_and_tier_stand_in_the_request() -> None:
    config = {"image_config": {"image_size": "2K", "aspect_ratio": "1:1"}}
    asked = create(generation_config=config, service_tier="flex")
    assert asked.dimensions == {"size": "2K", "aspect_ratio": "1:1", "service_tier": "flex"}


def test_text_thoughts_and_arguments_are_what_an_event_delivers() -> None:
    text = create(stream=True).api.text
    assert text is not None
    assert text(delta()) == "Hi"
    assert text(delta(delta={"content": {"text": "Hmm"}, "type": "thought_summary"})) == "Hmm"
    assert text(delta(delta={"arguments": '{"x": 1}'})) == '{"x": 1}'
    assert text(delta(delta="junk")) == ""


@pytest.mark.parametrize("junk", [-1, "12", True, [], 1.5])
def test_a_count_that_is_none_is_left_out_and_flagged(junk: object) -> None:
    counts = {"total_input_tokens": junk, "total_output_tokens": 3}
    reading = read_body(create(), interaction(usage=counts))
    assert dict(reading.usage) == {"output_tokens": 3}
    assert reading.flags == {"invalid:total_input_tokens"}
    assert read_body(create(), interaction(usage="junk")).flags == {"invalid:usage"}


@pytest.mark.parametrize("host", [GEMINI, VERTEX])
def test_a_cancel_is_a_sight_of_the_interaction(host: str) -> None:
    seen = describe(Request("POST", host, PATH + "/v1_abc/cancel"))
    assert seen is not None
    assert (seen.job_id, seen.repeated) == ("v1_abc", True)
    reading = read_body(seen, interaction("cancelled"))
    assert (reading.state, reading.error_type) == ("failed", "cancelled")
    assert describe(Request("GET", host, PATH + "/v1_abc/cancel")) is None


def test_a_decision_is_an_event_of_its_model_by_the_real_sdk() -> None:
    answers = {"q": {"type": "noul", "value": True}}
    answer = {"answers": answers, "usage": usage(total_cached_tokens=4)}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=answer))
    options = types.HttpOptions(httpx_client=httpx2.Client(transport=transport))
    client: Any = genai.Client(api_key="k", http_options=options)
    meter = TokenMeter("memory:")
    meter.wrap(client)
    with meter.attribute(customer="acme"):
        client.decisions.create(
            model="models/gemini-3.5-flash",
            input="It rains.",
            questions={"q": {"type": "noul", "instructions": "Is it wet?"}},
        )
    meter.shutdown()
    (event,) = meter.backend.events
    assert event.external_customer_id == "acme"
    assert (event.properties["operation"], event.properties["model"]) == (
        "decisions",
        "gemini-3.5-flash",
    )
    assert (event.usage.input_tokens, event.usage.cache_read_tokens) == (11, 4)
    assert (event.usage.output_tokens, event.usage.reasoning_tokens) == (168, 126)
