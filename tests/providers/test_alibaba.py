"""Alibaba: which requests are calls, where they are, and what they ask for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import Json
from tests.providers.sample_steps import DASHSCOPE
from tokenmeter.providers import Call, Request, find
from tokenmeter.providers.alibaba import ADAPTER, describe

HOST = "dashscope-intl.aliyuncs.com"
VIDEO = "/api/v1/services/aigc/video-generation/video-synthesis"
KF2V = "/api/v1/services/aigc/image2video/video-synthesis"
IMAGE = "/api/v1/services/aigc/text2image/image-synthesis"
ASYNC = {"x-dashscope-async": "enable"}
UUID = "1469cfc3-3004-4d9e-ab10-7fe3f1c5a2d0"


def ask(path: str, body: Json | None = None, **parts: Any) -> Call | None:
    host, method = parts.get("host", HOST), parts.get("method", "POST")
    return describe(Request(method, host, path, "", parts.get("headers", {}), body or {}))


def submit(body: Json, path: str = VIDEO, host: str = HOST) -> Call:
    call = ask(path, body, headers=ASYNC, host=host)
    assert call is not None
    return call


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("dashscope.aliyuncs.com", "cn-beijing"),
        ("dashscope-intl.aliyuncs.com", "ap-southeast-1"),
        ("dashscope-us.aliyuncs.com", "us-east-1"),
        ("cn-hongkong.dashscope.aliyuncs.com", "cn-hongkong"),
        ("vpc-cn-beijing.dashscope.aliyuncs.com", "cn-beijing"),
        ("llm-1x2.ap-southeast-1.maas.aliyuncs.com", "ap-southeast-1"),
        ("ws.eu-central-1.maas.aliyuncs.com", "eu-central-1"),
        ("dashscope-finance.aliyuncs.com", None),
    ],
)
def test_trap_19_the_host_decides_which_price_list_holds(host: str, region: str | None) -> None:
    call = submit({"model": "wan2.7-t2v"}, host=host)
    assert (call.provider, call.dimensions.get("region")) == ("alibaba", region)
    assert find(host, VIDEO) is ADAPTER


@pytest.mark.parametrize("host", ["oss.aliyuncs.com", "dashscope.aliyuncs.com.evil.test"])
def test_other_hosts_of_alibaba_are_not_its_api(host: str) -> None:
    assert not ADAPTER.owns(host)


@pytest.mark.parametrize(
    ("body", "dimensions", "usage"),
    [
        (
            {"model": "happyhorse-1.0-t2v", "input": {"prompt": "x"}},
            {"resolution": "1080p", "input_type": "text"},
            {"video_seconds": 5},
        ),
        (
            {
                "model": "happyhorse-1.1-i2v",
                "input": {"media": [{"type": "first_frame", "url": "u"}]},
                "parameters": {"resolution": "720P", "ratio": "9:16", "duration": 8},
            },
            {"resolution": "720p", "input_type": "image", "aspect_ratio": "9:16"},
            {"video_seconds": 8},
        ),
        (
            {"model": "wan2.5-t2v-preview", "parameters": {"size": "832*480", "audio": False}},
            {
                "resolution": "480p",
                "size": "832x480",
                "generate_audio": "false",
                "input_type": "text",
            },
            {"video_seconds": 5},
        ),
        (
            {"model": "wanx2.1-i2v-turbo", "input": {"img_url": "u"}},
            {"resolution": "720p", "input_type": "image"},
            {"video_seconds": 5},
        ),
        (
            {"model": "happyhorse-1.0-video-edit", "input": {"media": [{"type": "video"}]}},
            {"resolution": "1080p", "input_type": "video"},
            {},
        ),
        (
            {
                "model": "wan2.6-r2v",
                "input": {"reference_video_urls": ["u"]},
                "parameters": {"duration": 5},
            },
            {"resolution": "1080p", "input_type": "video"},
            {},
        ),
        (
            {"model": "wan2.2-animate-mix", "parameters": {"mode": "wan-pro"}},
            {"resolution": "1080p", "input_type": "text", "mode": "wan-pro"},
            {},
        ),
        (
            {"model": "wan3.0-video", "parameters": {"duration": "junk"}, "input": {"media": 7}},
            {"resolution": "1080p", "input_type": "text"},
            {},
        ),
    ],
)
def test_a_video_submit_says_what_a_price_needs(body: Json, dimensions: Json, usage: Json) -> None:
    call = submit(body)
    assert dict(call.dimensions) == {**dimensions, "region": "ap-southeast-1"}
    assert dict(call.usage) == usage
    assert (call.api.event_name, call.request_model) == ("video_generated", body["model"])


def test_first_and_last_frames_have_an_address_of_their_own() -> None:
    call = submit({"model": "wan2.2-kf2v-flash", "input": {"first_frame_url": "u"}}, KF2V)
    assert call.dimensions["input_type"] == "image"
    assert dict(call.usage) == {"video_seconds": 5}


def test_images_are_tasks_or_come_at_once() -> None:
    task = submit({"model": "wan2.5-t2i-preview", "parameters": {"size": "1280*720"}}, IMAGE)
    assert (task.api.event_name, task.dimensions["size"]) == ("image_generated", "1280x720")
    picture = {"messages": [{"content": [{"image": "u"}, {"text": "x"}]}]}
    at_once = ask(
        "/api/v1/services/aigc/multimodal-generation/generation",
        {"model": "qwen-image-edit-plus", "input": picture},
    )
    assert at_once is not None
    assert (at_once.api.event_name, at_once.api.operation) == (
        "image_generated",
        "multimodal-generation",
    )
    assert at_once.dimensions["input_type"] == "image"
    later = submit(
        {"model": "wan2.7-image", "input": {"messages": [{"content": "x"}, 7]}},
        "/api/v1/services/aigc/image-generation/generation",
    )
    assert (later.api.event_name, later.dimensions["input_type"]) == ("image_generated", "text")


def test_any_other_task_is_a_job_too() -> None:
    call = submit({"model": "paraformer-v2"}, "/api/v1/services/audio/asr/transcription")
    assert (call.api.event_name, dict(call.usage)) == ("api_calls", {})
    assert dict(call.dimensions) == {"region": "ap-southeast-1"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/services/aigc/text-generation/generation"),
        ("POST", "/api/v1/services/aigc/virtualmodel/generation"),
        ("POST", VIDEO),  # not asynchronous: refused by the provider
        ("GET", VIDEO),
        ("GET", "/api/v1/tasks"),
        ("POST", f"/api/v1/tasks/{UUID}/cancel"),
        ("POST", f"/api/v1/tasks/{UUID}"),
        ("GET", "/api/v1/uploads"),
    ],
)
def test_what_is_not_read_here_is_no_call(method: str, path: str) -> None:
    assert ask(path, {"model": "qwen-vl-max"}, method=method) is None


def test_a_poll_is_a_repeated_sight_of_its_job() -> None:
    call = ask(f"/api/v1/tasks/{UUID}", method="GET")
    assert call is not None
    assert (call.repeated, call.job_id, call.provider) == (True, UUID, "alibaba")
    assert DASHSCOPE.startswith("https://" + HOST)


def test_a_gateway_is_its_own_provider_without_a_region() -> None:
    for path in (VIDEO, IMAGE, f"/dashscope/api/v1/tasks/{UUID}"):
        assert find("gateway.test", path) is ADAPTER
    call = ask(VIDEO, {"model": "wan2.7-t2v"}, host="gateway.test", headers=ASYNC)
    assert call is not None
    assert (call.provider, "region" in call.dimensions) == ("gateway.test", False)
    assert find("gateway.test", "/api/v1/tasks/17") is None
    assert ask("/v1/other", host="gateway.test") is None


def test_chat_in_others_formats_is_read_by_their_adapters() -> None:
    asked = {"model": "qwen3.7-plus", "stream": True, "messages": []}
    call = ask("/compatible-mode/v1/chat/completions", asked)
    assert call is not None
    assert (call.provider, call.api.operation) == ("alibaba", "chat.completions")
    assert call.edited_body is not None
    claude = ask("/apps/anthropic/v1/messages", {"model": "qwen3.7-plus", "messages": []})
    assert claude is not None
    assert (claude.provider, claude.request_model) == ("alibaba", "qwen3.7-plus")
    assert ask("/compatible-mode/v1/models", method="GET") is None
