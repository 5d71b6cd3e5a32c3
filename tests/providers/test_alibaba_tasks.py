"""DashScope's tasks: every end that they have, and what it delivered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.junk import check, spoiled
from tests.providers.media import Json, Step, asked, played, read, read_parsed
from tests.providers.sample_steps import DASHSCOPE
from tests.providers.test_alibaba import IMAGE, submit
from tokenmeter.providers import Reading
from tokenmeter.providers.alibaba import ADAPTER

SUBMIT = f"{DASHSCOPE}/services/aigc/video-generation/video-synthesis"
POLL = f"{DASHSCOPE}/tasks/t1"
PENDING = {"request_id": "q", "output": {"task_id": "t1", "task_status": "PENDING"}}
USAGE = {
    "duration": 13.24,
    "input_video_duration": 6.62,
    "output_video_duration": 6.62,
    "video_count": 1,
    "SR": 720,
}


def done(usage: Any = None, status: Any = "SUCCEEDED", **output: Any) -> Json:
    made = {"video_url": "https://x/1.mp4", **output}
    return {
        "request_id": "q",
        "output": {"task_id": "t1", "task_status": status, **made},
        "usage": USAGE if usage is None else usage,
    }


def polled(usage: Any = None, status: Any = "SUCCEEDED", **output: Any) -> Reading:
    return read(asked("GET", POLL), done(usage, status, **output))


def test_trap_14_the_seconds_of_a_video_that_was_given_are_billed_too() -> None:
    reading = polled()
    assert dict(reading.usage) == {
        "video_jobs": 1,
        "video_count": 1,
        "output_count": 1,
        "video_seconds": Decimal("13.24"),
    }
    assert reading.dimensions["resolution"] == "720p"
    assert (reading.state, reading.flags) == ("success", frozenset())


@pytest.mark.parametrize(
    ("usage", "length", "dimensions"),
    [
        ({"video_duration": 5, "video_count": 1, "SR": "1080"}, 5, {"resolution": "1080p"}),
        (
            {"video_duration": 5, "video_ratio": "1280*720", "video_count": 1},
            5,
            {"resolution": "720p", "size": "1280x720"},
        ),
        (
            {"duration": "8", "SR": 480, "ratio": "16:9", "size": "832*480"},
            8,
            {"resolution": "480p", "size": "832x480", "aspect_ratio": "16:9"},
        ),
        ({"output_video_duration": 4, "video_ratio": "standard"}, 4, {}),
    ],
)
def test_each_generation_of_models_reports_in_its_own_words(
    usage: Json, length: int, dimensions: Json
) -> None:
    reading = polled(usage)
    assert (reading.usage.video_seconds, dict(reading.dimensions)) == (length, dimensions)


@pytest.mark.parametrize("junk", [-1, "long", float("nan"), True, 10**15])
def test_a_length_that_is_none_is_left_out_and_flagged(junk: Any) -> None:
    reading = polled({**USAGE, "duration": junk})
    assert reading.usage.video_seconds is None
    assert reading.flags == {"invalid:duration", "missing:video_seconds"}


def test_a_count_that_is_none_is_the_video_that_is_there() -> None:
    reading = polled({**USAGE, "video_count": "many"})
    assert reading.usage.video_count == 1
    assert reading.flags == {"invalid:video_count"}


def test_unknown_usage_is_flagged() -> None:
    assert polled({**USAGE, "upscaled_seconds": 5}).flags == {"unknown:upscaled_seconds"}


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "SUSPENDED", "THROTTLED", "X"])
def test_trap_04_any_other_word_is_no_end(status: str) -> None:
    assert polled(status=status).state == "pending"


@pytest.mark.parametrize(
    ("status", "output", "error_type"),
    [
        ("FAILED", {"code": "DataInspectionFailed", "message": "no"}, "DataInspectionFailed"),
        ("FAILED", {"code": "what the prompt said"}, "failed"),
        ("CANCELED", {}, "canceled"),
        ("UNKNOWN", {}, "unknown"),
        ("failed", {}, "failed"),
    ],
)
def test_a_task_fails_within_http_200(status: str, output: Json, error_type: str) -> None:
    reading = polled({}, status, **output)
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert dict(reading.usage) == {}


def test_a_task_that_delivered_nothing_has_failed() -> None:
    assert polled({"video_count": 0, "duration": 0}).error_type == "no_output"
    nothing = {"video_url": None, "results": [{"code": "InternalError"}]}
    assert polled({"image_count": 0}, **nothing).error_type == "no_output"


def test_answers_that_say_nothing_of_a_task() -> None:
    refused = {"code": "InvalidApiKey", "message": "no", "request_id": "q"}
    assert read(submit({}), refused).error_type == "InvalidApiKey"
    assert read(submit({}), {"request_id": "q"}).state is None
    assert read(asked("GET", POLL), {"request_id": "q"}).state == "pending"


def test_trap_02_images_that_were_made_are_counted_not_those_asked_for() -> None:
    results = [{"url": "u"}, {"url": "u"}, {"code": "InternalError.Timeout", "message": "no"}]
    task = {"video_url": None, "results": results}
    reading = polled({"image_count": 2, "size": "1024*1024"}, **task)
    assert dict(reading.usage) == {"image_count": 2, "output_count": 2}
    assert (reading.event_name, dict(reading.dimensions)) == (
        "image_generated",
        {"size": "1024x1024"},
    )
    assert polled({}, **task).usage.image_count == 2
    assert polled({"image_count": "?"}, **task).usage.image_count == 2


def test_images_at_once_have_the_id_of_their_request() -> None:
    body = {
        "request_id": "q1",
        "output": {"choices": [{"message": {"content": [{"image": "u"}]}}, {"message": 7}]},
        "usage": {"width": 1024, "height": 768, "image_count": 1, "input_tokens": 7},
    }
    place = f"{DASHSCOPE}/services/aigc/multimodal-generation/generation"
    reading = read(asked("POST", place, {"model": "qwen-image-plus"}), body)
    assert (reading.state, reading.response_id) == ("success", "q1")
    assert reading.usage == {"image_count": 1, "output_count": 1, "input_tokens": 7}
    assert reading.dimensions == {"size": "1024x768"}
    other = {**body, "usage": {"output_width": 8, "output_height": 6, "output_image_count": 1}}
    assert read(asked("POST", place, {"model": "qwen-image"}), other).dimensions == {"size": "8x6"}
    bare = {**body, "usage": {}}
    assert read(asked("POST", place, {"model": "qwen-image"}), bare).usage.image_count == 1


def test_another_kind_of_task_is_a_call() -> None:
    transcript = {"video_url": None, "results": [{"transcription_url": "u"}]}
    reading = polled({"duration": 9}, **transcript)
    assert (reading.event_name, dict(reading.usage)) == ("api_calls", {"output_count": 1})


def test_a_video_may_stand_among_the_results() -> None:
    found = polled({"duration": 5}, video_url=None, results={"video_url": "u"})
    assert (found.event_name, found.usage.video_seconds) == ("video_generated", 5)


def test_times_are_chinas_where_that_is_known() -> None:
    ended = "2026-04-25 15:04:05.882"
    assert polled(end_time=ended).created == f"{ended}+08:00"
    assert polled(end_time="yesterday").created is None
    foreign = asked("GET", "https://dashscope-us.aliyuncs.com/api/v1/tasks/t1")
    assert read(foreign, done(end_time=ended)).created is None


def test_trap_07_the_event_has_the_facts_of_the_submit() -> None:
    body = {"model": "happyhorse-1.1-t2v", "parameters": {"resolution": "720P", "duration": 8}}
    event = played(
        Step("POST", SUBMIT, PENDING, body, headers={"X-DashScope-Async": "enable"}),
        Step("GET", POLL, PENDING),
        Step("GET", POLL, done({"SR": 720})),
    ).event
    assert event.external_customer_id == "acme"
    assert (event.usage.video_seconds, event.usage.video_jobs) == (8, 1)
    assert event.properties["model"] == "happyhorse-1.1-t2v"
    assert event.properties["region"] == "ap-southeast-1"
    assert event.properties["cost_usd"] == "1.12"


def test_an_image_task_gives_an_image_event() -> None:
    place = "https://dashscope-intl.aliyuncs.com" + IMAGE
    body = {"model": "wan2.5-t2i-preview", "parameters": {"n": 2}}
    made = done({"image_count": 2}, video_url=None, results=[{"url": "u"}, {"url": "u"}])
    event = played(
        Step("POST", place, PENDING, body, headers={"X-DashScope-Async": "enable"}),
        Step("GET", POLL, made),
    ).event
    assert (event.event_name, event.usage.image_count) == ("image_generated", 2)


def test_a_callback_is_a_poll() -> None:
    assert ADAPTER.webhook is not None
    told = ADAPTER.webhook(done())
    assert told is not None
    assert (told.provider, told.job_id, told.repeated) == ("alibaba", "t1", True)
    assert ADAPTER.webhook({"output": {}}) is None


ANSWERS = [
    PENDING,
    done(),
    done({"image_count": 1, "size": "8*8"}, video_url=None, results=[{"url": "u"}]),
]


@settings(max_examples=500, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_is_survived(data: st.DataObject) -> None:
    body = {"model": "wan2.7-t2v", "input": {"media": [{"type": "video"}]}, "parameters": {}}
    (sent,) = data.draw(spoiled([{**body, "parameters": {"duration": 5, "size": "8*8"}}]))
    call = submit(sent if isinstance(sent, dict) else {}, data.draw(st.sampled_from(PLACES)))
    assert sum(call.usage.values()) <= 12  # text that is a number is one
    found = data.draw(spoiled([data.draw(st.sampled_from(ANSWERS))]))
    check(read_parsed(data.draw(st.sampled_from([call, asked("GET", POLL)])), *found), 720 + 40)


PLACES = ["/api/v1/services/aigc/video-generation/video-synthesis", IMAGE]
