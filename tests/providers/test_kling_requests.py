"""What Kling's requests ask for, and which of them are calls at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.providers.junk import spoiled
from tests.providers.media import Json, asked, described
from tokenmeter.providers import find
from tokenmeter.providers.kling_requests import ENDPOINTS
from tokenmeter.providers.models import model_type

HOST = "https://api-singapore.klingai.com"


def facts(call: Any) -> Json:
    return {"model": call.request_model, **call.dimensions, **call.usage}


@pytest.mark.parametrize(
    ("place", "body", "expected"),
    [
        (
            "videos/text2video",
            {},
            {
                "model": "kling-v1",
                "mode": "std",
                "resolution": "720p",
                "input_type": "text",
                "generate_audio": "false",
                "video_seconds": 5,
            },
        ),
        (
            "videos/image2video",
            {"model_name": "kling-v2-6", "mode": "pro", "duration": "10", "sound": "on"},
            {
                "model": "kling-v2-6",
                "resolution": "1080p",
                "input_type": "image",
                "generate_audio": "true",
                "video_seconds": 10,
            },
        ),
        ("videos/text2video", {"mode": "4k"}, {"resolution": "4k", "mode": "4k"}),
        ("videos/text2video", {"mode": "odd", "aspect_ratio": "1:1"}, {"aspect_ratio": "1:1"}),
        ("videos/omni-video", {}, {"model": "kling-video-o1", "input_type": "text"}),
        ("videos/omni-video", {"image_list": [{}]}, {"input_type": "image", "video_seconds": 5}),
        ("videos/omni-video", {"element_list": [{}]}, {"input_type": "image"}),
        (
            "videos/omni-video",
            {"video_list": [{"refer_type": "feature"}], "duration": 7},
            {"input_type": "video", "video_seconds": 7},
        ),
        (
            "videos/effects",
            {"effect_scene": "hug", "input": {"model_name": "kling-v1-6", "duration": "5"}},
            {"model": "kling-v1-6", "effect": "hug", "video_seconds": 5},
        ),
        ("images/generations", {}, {"model": "kling-v3", "resolution": "1K", "n": "1"}),
        (
            "images/omni-image",
            {"resolution": "4k", "n": 3, "image_list": [{}], "result_type": "series"},
            {
                "resolution": "4K",
                "n": "9",  # n counts for single images alone: the model chooses, up to 9
                "sequential": "true",
                "input_type": "image",
                "kind": "image",
                "result_type": "series",
            },
        ),
        ("images/omni-image", {"series_amount": "4", "result_type": "series"}, {"n": "4"}),
        ("images/omni-image", {"series_amount": 4, "n": 2}, {"n": "2"}),
        ("images/generations", {"n": "x"}, {"n": "1", "input_type": "text"}),
        ("audio/text-to-audio", {"duration": 3.5}, {"input_type": "text"}),
        ("audio/tts", {"text": "hello"}, {"characters": 5}),
    ],
)
def test_a_submit_on_the_old_surface(place: str, body: Json, expected: Json) -> None:
    call = asked("POST", f"{HOST}/v1/{place}", body)
    assert expected.items() <= facts(call).items()
    assert (call.provider, call.dimensions["region"]) == ("kling", "singapore")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "/text-to-video/kling-3.0",
            {"prompt": "a fox"},
            {"model": "kling-3.0", "mode": "std", "resolution": "720p", "input_type": "text",
             "generate_audio": "false", "video_seconds": 5},
        ),
        (
            "/image-to-video/kling-2.6",
            {"settings": {"resolution": "1080p", "audio": "native", "duration": 10}},
            {"mode": "pro", "input_type": "image", "generate_audio": "true", "video_seconds": 10},
        ),
        (
            "/image-to-video/kling-3.0-turbo",  # settings beside the contents
            {"contents": [{"type": "first_frame"}], "duration": 3, "resolution": "1080p"},
            {"resolution": "1080p", "mode": "pro", "input_type": "image", "video_seconds": 3},
        ),
        (
            "/omni-video/kling-3.0-omni",
            {"contents": [{"type": "prompt"}, {"type": "feature_video"}],
             "settings": {"resolution": "4K", "audio": "original"}},
            {"mode": "4k", "resolution": "4k", "input_type": "video", "generate_audio": "false",
             "video_seconds": 5},
        ),
        (
            "/omni-video/kling-o1",
            {"contents": [{"type": "refer_image"}], "settings": {"aspect_ratio": "9:16"}},
            {"input_type": "image", "aspect_ratio": "9:16"},
        ),
        ("/text-to-video/kling-3.0-turbo", {}, {"generate_audio": "true"}),
        ("/text-to-image/kling-image-4.0", {}, {"kind": "image", "input_type": "text"}),
        (
            "/image-to-image/kling-image-4.0",
            {"settings": {"resolution": "2k", "n": 2}},
            {"resolution": "2K", "n": "2", "input_type": "image"},
        ),
        ("/solutions/e-commerce/clothing_dupe", {"contents": [{"type": "source_video"}]},
         {"model": None, "input_type": "video"}),
    ],
)  # fmt: skip
def test_a_submit_on_the_new_surface(path: str, body: Json, expected: Json) -> None:
    assert expected.items() <= facts(asked("POST", HOST + path, body)).items()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/videos/motion-control", {}),
        ("/v1/videos/video-extend", {}),
        ("/v1/videos/omni-video", {"video_list": [{"refer_type": "base"}], "duration": "5"}),
        ("/v1/videos/text2video", {"duration": "long"}),
        ("/v1/audio/video-to-audio", {}),
        ("/v1/general/custom-voices", {"duration": "5"}),
        ("/motion-control/kling-3.0", {"settings": {"duration": 5}}),
        ("/omni-video/kling-3.0-omni", {"contents": [{"type": "base_video"}]}),
    ],
)
def test_a_length_that_the_request_does_not_decide_is_not_invented(path: str, body: Json) -> None:
    assert dict(asked("POST", HOST + path, body).usage) == {}


@pytest.mark.parametrize(
    ("path", "event_name"),
    [
        ("/v1/videos/avatar/image2video", "video_generated"),
        ("/v1/images/kolors-virtual-try-on", "image_generated"),
        ("/v1/general/ai-multi-shot", "image_generated"),
        ("/v1/audio/tts", "audio_generated"),
        ("/v1/general/custom-elements", "api_calls"),
        ("/image-to-video/kling-3.0", "video_generated"),
        ("/text-to-image/kling-image-4.0", "image_generated"),
        ("/text-to-speech/kling-voice-1", "audio_generated"),
        ("/solutions/e-commerce/virtual-try-on", "image_generated"),
    ],
)
def test_the_event_is_named_by_what_is_made(path: str, event_name: str) -> None:
    assert asked("POST", HOST + path).api.event_name == event_name


@pytest.mark.parametrize("place", ENDPOINTS)
def test_every_endpoint_is_submitted_listed_and_polled(place: str) -> None:
    url = f"{HOST}/v1/{place}"
    assert not asked("POST", url, {}).repeated
    poll, page = asked("GET", f"{url}/831922"), asked("GET", f"{url}?pageNum=1")
    assert (poll.repeated, poll.job_id) == (True, "831922")
    assert (page.repeated, page.job_id) == (True, None)
    assert poll.api is page.api is asked("POST", url, {}).api


def test_polls_of_the_new_surface_name_one_job_or_none() -> None:
    assert asked("GET", f"{HOST}/tasks?task_ids=93").job_id == "93"
    assert asked("GET", f"{HOST}/tasks?task_ids=93,94").job_id is None
    assert asked("GET", f"{HOST}/tasks?external_task_ids=a").job_id is None
    assert asked("POST", f"{HOST}/tasks", {"limit": 5}).repeated


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/account/costs"),
        ("GET", "/tasks"),
        ("GET", "/text-to-video/kling-3.0"),
        ("DELETE", "/v1/general/custom-voices/7"),
        ("POST", "/v1/videos/text2video/83"),
        ("POST", "/v1/videos/dance"),
        ("POST", "/v1/general/delete-elements"),
        ("PATCH", "/v1/videos/text2video"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, path: str) -> None:
    assert described(method, HOST + path) is None


@pytest.mark.parametrize(
    ("url", "provider", "region"),
    [
        ("https://api.klingai.com/v1/videos/text2video", "kling", "global"),
        ("https://api-beijing.klingai.com/v1/videos/text2video", "kling", "beijing"),
        ("https://gate.example/kling/v1/videos/text2video", "gate.example", None),
        ("https://gate.example/omni-video/kling-3.0-omni", "gate.example", None),
    ],
)
def test_hosts_and_gateways(url: str, provider: str, region: str | None) -> None:
    call = asked("POST", url, {})
    assert (call.provider, call.dimensions.get("region")) == (provider, region)


def test_a_foreign_tasks_path_is_klings_only_if_it_asks_as_kling_does() -> None:
    assert asked("GET", "https://gate.example/kling/tasks?task_ids=93").job_id == "93"
    assert described("GET", "https://shop.example/tasks?page=2") is None
    assert described("POST", "https://shop.example/tasks", {"title": "t"}) is None
    found = find("api.example.com", "/v1/images/generations")
    assert found is not None
    assert found.name == "openai"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/omni-video/kling-3.0-omni", "kling-v3-omni"),
        ("/text-to-video/kling-3.0", "kling-v3"),
        ("/image-to-video/kling-2.6", "kling-v2-6"),
        ("/image-to-video/kling-2.5-turbo", "kling-v2-5-turbo"),
        ("/omni-video/kling-o1", "kling-video-o1"),
        ("/text-to-video/kling-3.0-turbo", "kling-3.0-turbo"),
    ],
)
def test_both_surfaces_name_a_model_alike(path: str, name: str) -> None:
    model = asked("POST", HOST + path).request_model
    assert model is not None
    assert model_type(model) == name


BODIES: list[Any] = [
    {"model_name": "kling-v1", "duration": "5", "video_list": [{"refer_type": "base"}], "n": 2,
     "input": {"mode": "pro"}, "image_list": [{}], "text": "t", "sound": "on"},
    {"contents": [{"type": "first_frame"}], "settings": {"duration": 5, "resolution": "4k"}},
]  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled(BODIES))
def test_a_spoiled_request_is_described_without_raising(bodies: list[Any]) -> None:
    places = ("/v1/videos/omni-video", "/v1/images/omni-image", "/v1/audio/tts")
    paths = (*places, "/omni-video/kling-o1", "/text-to-image/kling-1")
    for body in bodies:
        for path in paths:
            call = asked("POST", HOST + path, body if isinstance(body, dict) else {})
            assert {type(value) for value in call.dimensions.values()} <= {str}
            assert all(number > 0 for number in call.usage.values())


@pytest.mark.parametrize(
    ("written", "billed"),
    [
        (5, 5),
        ("5", 5),
        ("5s", 5),
        (5.041, 5),
        ("10.041", 10),
        ("7.5", Decimal("7.5")),
        (0.1, Decimal("0.1")),
    ],
)
def test_a_length_is_billed_as_the_seconds_it_stands_for(written: Any, billed: Any) -> None:
    old = asked("POST", f"{HOST}/v1/videos/text2video", {"duration": written})
    new = asked("POST", f"{HOST}/omni-video/kling-v3-omni", {"settings": {"duration": written}})
    assert old.usage.get("video_seconds") == new.usage.get("video_seconds") == billed
