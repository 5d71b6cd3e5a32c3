"""MiniMax: both versions of the video API, images, speech, refusals within HTTP 200."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import CUSTOMER, Json, Step, asked, described, played, read
from tests.providers.sample_steps import MINIMAX
from tokenmeter.event import Event
from tokenmeter.providers.minimax import ADAPTER

V1, V2 = f"{MINIMAX}/v1/video_generation", f"{MINIMAX}/v2/video_generation"
QUERY1 = f"{MINIMAX}/v1/query/video_generation?task_id=m1"
QUERY2 = f"{MINIMAX}/v2/query/video_generation/m1"
FINE = {"status_code": 0, "status_msg": "success"}
HAILUO: Json = {"model": "MiniMax-Hailuo-02", "duration": 6, "resolution": "768P"}
SUCCESS: Json = {
    "task_id": "m1",
    "status": "Success",
    "file_id": "205258526306433",
    "video_width": 1366,
    "video_height": 768,
    "base_resp": FINE,
}
TASK: Json = {
    "id": "m1",
    "model": "MiniMax-H3",
    "status": "succeeded",
    "updated_at": 1790000060,
    "content": {"url": "https://x/1.mp4"},
    "resolution": "768P",
    "duration": 5,
    "ratio": "16:9",
    "usage": {"total_seconds": 8, "input_seconds": 3, "output_seconds": 5, "input_image_count": 6},
}


def ended_v1(body: Json, **fields: Any) -> Event:
    processing = {"task_id": "m1", "status": "Processing", "file_id": "", "base_resp": FINE}
    return played(
        Step("POST", V1, {"task_id": "m1", "base_resp": FINE}, body),
        Step("GET", QUERY1, processing),
        *[Step("GET", QUERY1, {**SUCCESS, **fields})] * 3,
    ).event


def ended_v2(body: Json, **fields: Any) -> Event:
    return played(
        Step("POST", V2, {"task_id": "m1"}, body),
        Step("GET", QUERY2, {"task": {**TASK, "status": "running", "content": None}}),
        *[Step("GET", QUERY2, {"task": {**TASK, **fields}})] * 3,
    ).event


def test_v2_bills_the_seconds_and_the_pictures_that_it_reports() -> None:
    event = ended_v2({"model": "MiniMax-H3", "duration": 5})
    facts, usage = event.properties, event.usage
    assert (usage.video_seconds, usage.input_image_count, usage.video_jobs) == (8, 6, 1)
    assert (facts["resolution"], facts["aspect_ratio"]) == ("768p", "16:9")
    assert facts["usage_source"] == "reported"
    assert facts["cost_usd"] == "0.68"  # 8 x 0.08, and 0.04 for the sixth picture


def test_v1_has_the_length_of_the_request() -> None:
    event = ended_v1(HAILUO)
    assert (event.event_name, event.usage.video_seconds) == ("video_generated", 6)
    assert (event.properties["model"], event.properties["size"]) == (
        "MiniMax-Hailuo-02",
        "1366x768",
    )
    assert (event.properties["cost_usd"], event.external_customer_id) == ("0.28", CUSTOMER)


@pytest.mark.parametrize(
    ("value", "length"),
    [("10", "10"), ("10s", "10"), (5.5, "5.5"), (-1, "None"), ("x", "None"), (None, "6")],
)
def test_lengths_in_every_spelling(value: Any, length: str) -> None:
    event = ended_v1({**HAILUO, "duration": value})
    assert str(event.usage.video_seconds) == length
    assert ("missing:video_seconds" in str(event.properties.get("flags", ""))) == (
        length == "None"
    )


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        ({"status": "Fail", "file_id": ""}, "fail"),
        ({"status": "failed", "file_id": ""}, "failed"),
        ({"status": "Fail", "base_resp": {"status_code": 1027}}, "1027"),
        ({"base_resp": {"status_code": 1026, "status_msg": "x"}}, "1026"),
        ({"base_resp": {"status_code": "1027"}, "status": ""}, "1027"),
        ({"file_id": ""}, "no_output"),
    ],
)
def test_v1_fails_within_http_200(fields: Json, error_type: str) -> None:
    event = ended_v1(HAILUO, **fields)
    facts = event.properties
    assert (facts["outcome"], facts["error_type"]) == ("failed", error_type)
    assert (facts["billable"], event.usage.video_seconds) == ("false", None)


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
def test_v2_fails_with_a_word(status: str) -> None:
    event = ended_v2({"model": "MiniMax-H3"}, status=status, content=None, usage=None)
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", status)
    told = ended_v2({"model": "MiniMax-H3"}, status=status, error={"code": "sensitive"})
    assert told.properties["error_type"] == "sensitive"


def test_a_submit_that_is_refused_is_a_failed_call() -> None:
    made = played(Step("POST", V1, {"task_id": "", "base_resp": {"status_code": 1008}}, HAILUO))
    facts = made.event.properties
    assert (facts["outcome"], facts["error_type"], made.pending) == ("failed", "1008", [])


@pytest.mark.parametrize(
    "answer",
    [
        {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        {"task_id": "m1", "status": "Warmup", "base_resp": FINE},
        {"task_id": "m1", "status": "Processing", "base_resp": {"status_code": 1013}},
        {},
    ],
)
def test_a_poll_that_says_nothing_leaves_the_job_pending(answer: Json) -> None:
    submit = Step("POST", V1, {"task_id": "m1", "base_resp": FINE}, HAILUO)
    made = played(submit, Step("GET", QUERY1, answer))
    assert (made.events, len(made.pending)) == ([], 1)


def test_a_page_of_tasks_settles_each_of_them() -> None:
    submit = Step("POST", V2, {"task_id": "m1"}, {"model": "MiniMax-H3"})
    page = {"items": [TASK, {**TASK, "id": "m2", "status": "queued"}], "total": 2}
    made = played(submit, Step("GET", f"{MINIMAX}/v2/query/video_generation", page))
    assert (made.event.usage.video_seconds, made.pending) == (8, [])


@pytest.mark.parametrize(
    ("usage", "length", "flag"),
    [
        ({"total_seconds": "8"}, "8", ""),
        ({"total_seconds": None, "output_seconds": 4}, "4", ""),
        ({}, "5", ""),
        (None, "5", ""),
        ({"total_seconds": -1}, "5", "invalid:duration"),
        ({"total_seconds": "NaN"}, "5", "invalid:duration"),
    ],
)
def test_numbers_of_a_task_in_every_spelling(usage: Any, length: str, flag: str) -> None:
    event = ended_v2({"model": "MiniMax-H3"}, usage=usage)
    assert str(event.usage.video_seconds) == length
    assert flag in str(event.properties.get("flags", ""))


def test_a_task_that_rewrites_a_prompt_makes_no_video() -> None:
    task = {**TASK, "content": {"prompt": "better"}, "usage": {}}
    assert read(asked("GET", QUERY2), {"task": task}).event_name == "text_generated"


def test_ids_may_be_numbers() -> None:
    told = {**SUCCESS, "task_id": 176843862716480, "file_id": 205258526306433}
    reading = read(asked("POST", V1), told)
    assert (reading.response_id, reading.state) == ("176843862716480", "success")
    assert read(asked("POST", V1), {**told, "file_id": 205258526306433.0}).state == "success"


def test_images_are_counted_by_the_answer() -> None:
    image = f"{MINIMAX}/v1/image_generation"
    answer: Json = {
        "id": "i1",
        "data": {"image_urls": ["u", "v"]},
        "metadata": {"success_count": "2", "failed_count": "1"},
        "base_resp": FINE,
    }
    body = {"model": "image-01", "n": 3, "width": 1024, "height": 768}
    event = played(Step("POST", image, answer, body)).event
    assert (event.event_name, event.usage.image_count) == ("image_generated", 2)
    assert (event.properties["size"], event.properties["n"]) == ("1024x768", "3")
    bare = {"data": {"image_base64": ["a" * 90_000, "b" * 90_000]}}
    assert played(Step("POST", image, bare, body)).event.usage.image_count == 2
    none = {**answer, "metadata": {"success_count": 0}, "data": {"image_urls": []}}
    assert played(Step("POST", image, none, body)).event.properties["error_type"] == "no_output"
    filtered = {"base_resp": {"status_code": 1026}}
    assert played(Step("POST", image, filtered, body)).event.properties["outcome"] == "failed"


def test_speech_is_characters_and_seconds() -> None:
    answer = {
        "data": {"audio": "ff", "status": 2},
        "extra_info": {"audio_length": 9900, "usage_characters": 26},
        "base_resp": FINE,
    }
    body = {"model": "speech-2.8-hd", "text": "x" * 20}
    event = played(Step("POST", f"{MINIMAX}/v1/t2a_v2", answer, body)).event
    assert (event.event_name, event.usage.characters) == ("audio_generated", 26)
    assert str(event.usage.audio_seconds) == "9.9"
    odd = {"extra_info": {"audio_length": "x", "usage_characters": -1}}
    kept = played(Step("POST", f"{MINIMAX}/v1/t2a_v2", odd, body)).event
    assert (kept.usage.characters, kept.usage.audio_seconds) == (20, None)


def test_music_has_its_length_and_a_long_text_its_characters_at_once() -> None:
    song = {"data": {"status": 2}, "extra_info": {"music_duration": 25_364}, "base_resp": FINE}
    sung = played(Step("POST", f"{MINIMAX}/v1/music_generation", song, {"model": "music-2.6"}))
    assert (sung.event.event_name, str(sung.event.usage.audio_seconds)) == (
        "audio_generated",
        "25.364",
    )
    accepted = {"task_id": 95157322514444, "usage_characters": 101, "base_resp": FINE}
    spoken = played(Step("POST", f"{MINIMAX}/v1/t2a_async_v2", accepted, {"text": "x" * 90}))
    assert (spoken.event.usage.characters, spoken.pending) == (101, [])


def test_chat_is_read_in_the_formats_it_is_in() -> None:
    chat = asked("POST", f"{MINIMAX}/v1/chat/completions", {"model": "MiniMax-M3"})
    messages = asked("POST", f"{MINIMAX}/anthropic/v1/messages", {"model": "MiniMax-M3"})
    assert (chat.provider, chat.api.event_name) == ("minimax", "text_generated")
    assert (messages.provider, messages.api.operation) == ("minimax", "messages")
    own = asked(
        "POST", f"{MINIMAX}/v1/text/chatcompletion_v2", {"model": "M2-her", "stream": True}
    )
    assert (own.api.operation, own.api.event_name) == ("chat.completions", "text_generated")
    assert own.edited_body is None  # its streams report what was used unasked


@pytest.mark.parametrize(
    ("url", "body", "facts", "length"),
    [
        (V1, {"model": "T2V-01-Director"}, {"resolution": "720p", "input_type": "text"}, 6),
        (V1, {"first_frame_image": "u", "resolution": "1080P"}, {"resolution": "1080p"}, 6),
        (V1, {"subject_reference": [{}]}, {"input_type": "image"}, 6),
        (V2, {"content": [{"type": "image_url"}], "ratio": "9:16"}, {"input_type": "image"}, 5),
        (V2, {"content": [{"type": "video_url"}, 7]}, {"input_type": "video"}, 5),
        (V2, {"resolution": "2K"}, {"resolution": "2k", "region": "global"}, 5),
        (f"{MINIMAX}/v2/video_regeneration", {"task_id": "m0"}, {}, None),
        ("https://api.minimaxi.com/v1/video_generation", {}, {"region": "cn"}, 6),
    ],
)
def test_a_submit_says_what_a_price_needs(
    url: str, body: Json, facts: Json, length: int | None
) -> None:
    call = asked("POST", url, body)
    assert facts.items() <= dict(call.dimensions).items()
    assert (call.provider, call.usage.get("video_seconds")) == ("minimax", length)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", V1),
        ("POST", QUERY2),
        ("GET", f"{MINIMAX}/v1/files/retrieve"),
        ("GET", f"{MINIMAX}/v1/image_generation"),
        ("DELETE", QUERY2),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, url: str) -> None:
    assert described(method, url) is None


def test_a_relay_is_its_own_provider() -> None:
    call = asked("POST", "https://api.novita.ai/v3/minimax/v2/video_generation", {})
    assert (call.provider, "region" in call.dimensions) == ("api.novita.ai", False)


@pytest.mark.parametrize(
    "body", [SUCCESS, {"task": TASK}, {"task_id": "m1", "status": "failed", "base_resp": FINE}]
)
def test_a_callback_of_either_version_is_known(body: Json) -> None:
    assert ADAPTER.webhook is not None
    call = ADAPTER.webhook(body)
    assert call is not None
    assert read(call, body).response_id == "m1"
    assert ADAPTER.webhook({"challenge": "c"}) is ADAPTER.webhook({"task_id": "m1"}) is None


@pytest.mark.parametrize("told", [{"status_code": 1004, "status_msg": "x"}, FINE, 7])
def test_a_chat_that_is_refused_within_http_200_has_failed(told: Any) -> None:
    answer = {"id": "", "choices": None, "base_resp": told}
    url = "https://api.minimax.io/v1/chat/completions"
    found = played(Step("POST", url, answer, {"model": "MiniMax-M2", "messages": []})).event
    refused = told not in (FINE, 7)
    assert found.properties["outcome"] == ("failed" if refused else "success")
    assert found.properties.get("error_type") == ("1004" if refused else None)
