"""What requests to Ark ask for: Seedance's facts and defaults, hosts, text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.providers.junk import spoiled
from tests.providers.media import Json, asked, described

HOST = "https://ark.ap-southeast.bytepluses.com/api/v3"
TASKS = f"{HOST}/contents/generations/tasks"
PRO = "seedance-1-5-pro-251215"


def request(**fields: Any) -> Json:
    return {"model": PRO, "content": [{"type": "text", "text": "a fox"}], **fields}


@pytest.mark.parametrize(
    ("body", "facts", "length"),
    [
        ({}, {"resolution": "720p", "generate_audio": "true", "aspect_ratio": "adaptive"}, 5),
        ({"duration": -1}, {"input_type": "text", "service_tier": "default"}, None),
        ({"duration": "8"}, {"draft": "false", "fps": "24"}, 8),
        ({"frames": 121, "duration": 9}, {"input_has_video": "false"}, 5),
        ({"draft": True}, {"resolution": "480p", "draft": "true"}, 5),
        ({"service_tier": "flex", "ratio": "1:1"}, {"service_tier": "flex"}, 5),
        ({"model": "seedance-1-0-pro-250528"}, {"resolution": "1080p", "fps": "24"}, 5),
        ({"model": "seedance-1-0-lite-t2v-250428"}, {"generate_audio": "false"}, 5),
        ({"content": [{"type": "image_url"}]}, {"input_type": "image"}, 5),
        (
            {"content": [{"type": "image_url"}, {"type": "video_url"}], "generate_audio": False},
            {"input_type": "video", "input_has_video": "true", "generate_audio": "false"},
            5,
        ),
        (
            {"content": [{"type": "text", "text": "a fox --rs 1080p --dur 8 --rt 9:16 --fps 24"}]},
            {"resolution": "1080p", "aspect_ratio": "9:16"},
            8,
        ),
        (
            {"content": [{"type": "draft_task"}], "resolution": "1080p"},
            {"resolution": "1080p"},
            None,
        ),
        ({"content": [{"type": "draft_task"}], "duration": 4}, {"draft": "false"}, 4),
        ({"content": "junk", "duration": [5], "resolution": 7}, {"resolution": "7"}, None),
    ],
)
def test_a_submit_has_every_fact_that_a_price_may_name(
    body: Json, facts: Json, length: int | None
) -> None:
    call = asked("POST", TASKS, {**request(), **body})
    assert facts.items() <= call.dimensions.items()
    assert call.usage.video_seconds == length
    assert not any("fox" in value for value in call.dimensions.values())


def test_a_final_from_a_draft_leaves_what_it_inherits_to_the_answer() -> None:
    call = asked(
        "POST", TASKS, request(content=[{"type": "draft_task", "draft_task": {"id": "c"}}])
    )
    assert {"generate_audio", "aspect_ratio", "resolution"}.isdisjoint(call.dimensions)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/contents/generations/tasks/cgt-1"),
        ("POST", "/contents/generations/tasks/cgt-1"),
        ("GET", "/models"),
        ("POST", "/tokenization"),
        ("POST", "/files"),
        ("GET", "/images/generations"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, path: str) -> None:
    assert described(method, HOST + path) is None


def test_volcengine_and_gateways_are_known_by_host_and_path() -> None:
    beijing = asked("POST", "https://ark.cn-beijing.volces.com/api/v3/contents/generations/tasks")
    assert (beijing.provider, beijing.dimensions["region"]) == ("byteplus", "cn-beijing")
    gateway = asked("GET", "https://gate.example/byteplus/api/v3/contents/generations/tasks/c")
    assert (gateway.provider, gateway.dimensions, gateway.job_id) == ("gate.example", {}, "c")


def test_text_on_ark_is_openais_format() -> None:
    call = asked("POST", f"{HOST}/chat/completions", {"model": "seed-2-0", "stream": True})
    assert call.provider == "byteplus"
    assert call.edited_body is not None
    batch = asked("POST", f"{HOST}/batch/chat/completions", {"model": "seed-2-0"})
    assert batch.dimensions["service_tier"] == "batch"
    embedded = asked("POST", f"{HOST}/embeddings/multimodal", {"model": "m"})
    assert embedded.api.event_name == "embedding_created"
    assert described("DELETE", f"{HOST}/responses/resp_1") is None


WHOLE = request(
    tools=[{"type": "web_search"}], frames=121, draft=True, resolution="1080p", service_tier="flex"
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled([WHOLE]))
def test_a_spoiled_request_is_described_without_raising(bodies: list[Any]) -> None:
    call = asked("POST", TASKS, bodies[0])
    assert {type(value) for value in call.dimensions.values()} <= {str}
    assert all(number > 0 for number in call.usage.values())
