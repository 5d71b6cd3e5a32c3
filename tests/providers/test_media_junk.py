"""Junk in any place of what fal, Replicate, Runway, Luma and MiniMax are asked and answer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.providers.junk import spoiled
from tests.providers.media import Json, asked, is_clean, read, read_parsed, samples
from tests.providers.sample_steps import (
    ARK,
    DASHSCOPE,
    FAL,
    GEMINI,
    HAPPYHORSE,
    KLING,
    LUMA,
    MINIMAX,
    MUAPI,
    REPLICATE,
    RUNWAY,
)
from tokenmeter.providers import Request, adapters, find
from tokenmeter.providers.media_kinds import kind_of_file

CLIP = {"url": "https://x/1.mp4", "content_type": "video/mp4", "duration": 5.041}
PICTURE = {"url": "https://x/1.png", "width": 1024, "height": 768}
# How each is submitted, what the body holds, how it is polled, and what may be answered.
FLOWS: dict[str, tuple[str, Json, str, list[Json]]] = {
    "fal": (
        f"{FAL}/fal-ai/veo3.1",
        {"duration": "8s", "num_frames": 121, "fps": 24, "image_size": {"width": 1, "height": 2}},
        f"{FAL}/fal-ai/veo3.1/requests/r1",
        [
            {"request_id": "r1", "response_url": "u", "status": "IN_QUEUE"},
            {"status": "COMPLETED", "error": "x", "error_type": "y"},
            {"images": [PICTURE], "video": CLIP, "audio": CLIP, "duration": 3},
            {"request_id": "r1", "status": "OK", "payload": {"videos": [CLIP]}},
            {"request_id": "r1", "status": "ERROR", "payload": {"detail": [{"type": "t"}]}},
        ],
    ),
    "replicate": (
        f"{REPLICATE}/models/google/veo-3.1/predictions",
        {"input": {"duration": 8, "resolution": "720p", "image": "u", "with_audio": True}},
        f"{REPLICATE}/predictions/p1",
        [
            {"id": "p1", "status": "failed", "error": "E005"},
            {
                "id": "p1",
                "model": "a/b",
                "status": "succeeded",
                "input": {"duration": 8},
                "output": ["https://x/1.mp4"],
                "metrics": {
                    "video_output_duration_seconds": 8.0,
                    "image_output_count": 1,
                    "predict_time": 2.5,
                    "resolution_target": "720p",
                },
            },
            {"results": [{"id": "p1", "status": "succeeded", "output": "https://x/a.wav"}]},
        ],
    ),
    "runway": (
        f"{RUNWAY}/image_to_video",
        {
            "model": "gen4.5",
            "ratio": "1280:720",
            "duration": 5,
            "audio": True,
            "providerSettings": {"multiPrompt": [{"duration": 3}]},
        },
        f"{RUNWAY}/tasks/t1",
        [
            {"id": "t1", "estimatedCost": {"credits": 25}},
            {
                "id": "t1",
                "status": "SUCCEEDED",
                "createdAt": "2026-11-21T10:00:00Z",
                "output": ["https://x/1.mp4"],
                "cost": {"credits": 25},
            },
            {"id": "t1", "status": "FAILED", "failureCode": "A.B", "cost": {"credits": 0}},
        ],
    ),
    "luma": (
        f"{LUMA}/generations",
        {"model": "ray-2", "duration": "5s", "resolution": "720p", "keyframes": {}},
        f"{LUMA}/generations/g1",
        [
            {"id": "g1", "state": "failed", "failure_reason": "moderation"},
            {
                "id": "g1",
                "state": "completed",
                "model": "ray-2",
                "assets": {"video": "u", "image": "v"},
                "request": {"duration": "5s", "resolution": "720p", "generation_type": "video"},
            },
            {"generations": [{"id": "g1", "state": "completed", "assets": {"image": "v"}}]},
        ],
    ),
    "minimax": (
        f"{MINIMAX}/v1/video_generation",
        {"model": "MiniMax-Hailuo-02", "duration": 6, "content": [{"type": "text"}]},
        f"{MINIMAX}/v1/query/video_generation?task_id=m1",
        [
            {"task_id": "m1", "base_resp": {"status_code": 0}},
            {"task_id": "m1", "status": "Success", "file_id": "f", "video_width": 1366},
            {
                "task": {
                    "id": "m1",
                    "status": "succeeded",
                    "content": {"url": "u"},
                    "duration": 5,
                    "usage": {"total_seconds": 5, "input_image_count": 1, "input_seconds": 0},
                }
            },
            {"data": {"image_urls": ["u"]}, "metadata": {"success_count": "1"}},
            {"extra_info": {"audio_length": 900, "usage_characters": 3}},
        ],
    ),
}
WEBHOOKS = {adapter.name: adapter.webhook for adapter in adapters()}


@pytest.mark.parametrize("provider", FLOWS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_junk_anywhere_is_survived_and_becomes_no_number(
    provider: str, data: st.DataObject
) -> None:
    place, body, poll, answers = FLOWS[provider]
    sent, *answered = data.draw(spoiled([body, *answers]))
    submit = asked("POST", place, sent if isinstance(sent, dict) else {})
    assert is_clean(read_parsed(submit, *answered))
    assert all(type(value) is str for value in submit.dimensions.values())
    webhook = WEBHOOKS[provider]
    for answer in answered:
        assert is_clean(read_parsed(asked("GET", poll), answer))
        if webhook is not None and isinstance(answer, dict):
            told = webhook(answer)
            assert told is None or told.job_id


class Length(NamedTuple):
    """Where a request is sent, and where in its body the length stands."""

    place: str
    path: tuple[str, ...] = ("duration",)
    body: Mapping[str, Any] = MappingProxyType({})


# Every maker of videos: how the length of a request is written.
LENGTHS: dict[str, Length] = {
    **{name: Length(flow[0], body=flow[1]) for name, flow in FLOWS.items()},
    "replicate": Length(FLOWS["replicate"][0], ("input", "duration")),
    "alibaba": Length(
        f"{DASHSCOPE}/services/aigc/video-generation/video-synthesis",
        ("parameters", "duration"),
        {"model": "wan2.7-t2v"},
    ),
    "byteplus": Length(
        f"{ARK}/contents/generations/tasks",
        body={"model": "seedance-1-5-pro-251215", "content": []},
    ),
    "google": Length(
        f"{GEMINI}/models/veo-3.1-generate-preview:predictLongRunning",
        ("parameters", "durationSeconds"),
    ),
    "happyhorse": Length(f"{HAPPYHORSE}/generate"),
    "kling": Length(f"{KLING}/v1/videos/text2video"),
    "kling-new": Length(f"{KLING}/text-to-video/kling-3.0", ("settings", "duration")),
    "muapi": Length(f"{MUAPI}/seedance-2-text-to-video"),
}


def length_of(provider: str, value: Any) -> Any:
    told = LENGTHS[provider]
    for key in reversed(told.path):
        value = {key: value}
    body = {**told.body, **value, "num_frames": None, "providerSettings": {}}
    asynchronous = {"x-dashscope-async": "enable"}
    parts = urlsplit(told.place)
    host = parts.hostname or ""
    adapter = find(host, parts.path)
    assert adapter is not None
    call = adapter.describe(Request("POST", host, parts.path, "", asynchronous, body))
    assert call is not None
    return call.usage.get("video_seconds")


ODD: tuple[Any, ...] = (-1, float("nan"), "NaN", "-5", "5 seconds", True, [], {}, 1e300, "")


@pytest.mark.parametrize("provider", LENGTHS)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_length_that_is_none_is_never_billed(provider: str, value: Any) -> None:
    assert length_of(provider, value) is None


@pytest.mark.parametrize("provider", LENGTHS)
@pytest.mark.parametrize(
    ("value", "length"), [(8, "8"), ("8", "8"), (5.041, "5.041"), ("5s", "5")]
)
def test_a_length_is_read_however_it_is_written(provider: str, value: Any, length: str) -> None:
    if provider.startswith("kling"):
        length = length.removesuffix(".041")  # it bills the whole second that is nearest
    assert str(length_of(provider, value)) == length


@pytest.mark.parametrize("row", samples(*FLOWS), ids=lambda row: row["id"])
def test_an_answer_says_the_same_each_time(row: Any) -> None:
    call = asked("GET", FLOWS[row["provider"]][2])
    assert read(call, row["response"]) == read(call, row["response"])


def test_a_file_is_told_by_its_type_and_its_ending() -> None:
    assert kind_of_file("data:image/png;base64,aGk=") == "image_generated"
    assert kind_of_file("https://x/a.MP4?sig=1") == "video_generated"
    assert kind_of_file("https://x/a") == kind_of_file("data:text/plain,x") == ""
