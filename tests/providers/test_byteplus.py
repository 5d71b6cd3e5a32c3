"""Seedance on BytePlus and Volcengine Ark: submit, poll, list, callback."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.providers.junk import spoiled
from tests.providers.media import (
    CUSTOMER,
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
from tokenmeter.providers.byteplus import ADAPTER, webhook

HOST = "https://ark.ap-southeast.bytepluses.com/api/v3"
TASKS = f"{HOST}/contents/generations/tasks"
PRO = "seedance-1-5-pro-251215"
SAMPLES = [row for row in samples("byteplus") if "images" not in row["call"]]


def task(**fields: Any) -> Json:
    return {
        "id": "cgt-1",
        "model": PRO,
        "status": "succeeded",
        "content": {"video_url": "https://x/1.mp4"},
        "usage": {"completion_tokens": 108900, "total_tokens": 108900},
        "created_at": 1765510475,
        "updated_at": 1765510559,
        "resolution": "720p",
        "ratio": "16:9",
        "duration": 5,
        "framespersecond": 24,
        "service_tier": "default",
        "generate_audio": True,
        "draft": False,
        **fields,
    }


def request(**fields: Any) -> Json:
    return {"model": PRO, "content": [{"type": "text", "text": "a fox"}], **fields}


def polled(**fields: Any) -> Any:
    return read(asked("GET", f"{TASKS}/cgt-1"), task(**fields))


@pytest.mark.parametrize("row", SAMPLES, ids=lambda row: row["id"])
def test_a_sample_gives_one_event_however_often_it_is_polled(row: Any) -> None:
    answer = row["response"]
    submit = Step("POST", TASKS, {"id": answer["id"]}, row["request"])
    poll = Step("GET", f"{TASKS}/{answer['id']}", answer)
    going_on = Step("GET", f"{TASKS}/{answer['id']}", {**answer, "status": "running"})
    made = played(submit, going_on, poll, poll)
    assert departures(row, made) == []
    assert made.pending == []
    assert made.event.properties["region"] == "ap-southeast"


def test_a_list_ends_every_job_on_its_page_and_no_other() -> None:
    other = f"{TASKS}?page_size=10&filter.status=succeeded"
    page = {
        "total": 4,
        "items": [
            task(),
            task(id="cgt-2", status="failed", error={"code": "OutputVideoRisk", "message": "…"}),
            task(id="cgt-3", status="running"),
            7,
        ],
    }
    submits = [Step("POST", TASKS, {"id": f"cgt-{n}"}, request()) for n in (1, 2, 3)]
    made = played(*submits, Step("GET", other, page), Step("GET", other, page))
    assert [(e.properties["outcome"], e.usage.get("video_tokens")) for e in made.events] == [
        ("success", 108900),
        ("failed", None),
    ]
    assert made.events[0].external_customer_id == CUSTOMER
    assert made.events[1].properties["error_type"] == "OutputVideoRisk"
    assert [job["job_id"] for job in made.pending] == ["cgt-3"]
    assert played(Step("GET", other, {"total": 0, "items": []})).events == []


def test_trap_05_expired_is_an_end_and_every_unknown_state_is_not() -> None:
    ends = {"failed", "cancelled", "canceled", "expired"}
    for stage in (*ends, "queued", "running", "archived", "succeeded"):
        reading = polled(status=stage, error=None)
        expected = "failed" if stage in ends else "pending"
        assert reading.state == ("success" if stage == "succeeded" else expected)
        assert reading.error_type == (stage if stage in ends else None)
        assert ("video_tokens" in reading.usage) is (stage == "succeeded")


def test_trap_01_numbers_may_be_strings() -> None:
    usage = {"completion_tokens": "108900", "total_tokens": "108900"}
    reading = polled(usage=usage, duration="5", framespersecond="24")
    assert reading.usage.video_tokens == 108900
    assert type(reading.usage.video_tokens) is int
    assert reading.usage.video_seconds == 5
    assert reading.flags == frozenset()


@pytest.mark.parametrize("junk", ["x", -1, True, float("nan"), 1.5, 10**13, [1]])
def test_junk_is_left_out_and_flagged(junk: object) -> None:
    reading = polled(usage={"completion_tokens": junk}, duration=junk, resolution=None)
    assert "invalid:video_tokens" in reading.flags
    assert "video_tokens" not in reading.usage
    assert ("video_seconds" in reading.usage) is (junk == 1.5)
    assert ("invalid:duration" in reading.flags) is (junk != 1.5)


def test_trap_10_a_task_that_goes_on_has_no_usage_and_is_no_zero() -> None:
    reading = polled(status="running", usage=None, content=None, error=None)
    assert (reading.state, dict(reading.usage)) == ("pending", {})
    assert read(asked("POST", TASKS, request()), {"id": "cgt-1"}).state == "pending"


def test_trap_11_12_resolution_and_sound_are_in_our_words() -> None:
    reading = polled(resolution="4K", generate_audio=False, ratio="16:9")
    assert reading.dimensions["resolution"] == "4k"
    assert reading.dimensions["generate_audio"] == "false"
    assert polled(resolution="2160p").dimensions["resolution"] == "4k"


def test_trap_13_a_draft_is_discounted_in_its_tokens_and_that_is_no_doubt() -> None:
    usage = {"completion_tokens": 30383, "total_tokens": 30383}
    draft = polled(draft=True, resolution="480p", usage=usage)
    assert (draft.usage.video_tokens, draft.dimensions["draft"]) == (30383, "true")
    assert draft.flags == frozenset()
    silent = polled(draft=True, resolution="480p", usage=usage, generate_audio=False)
    assert silent.flags == frozenset()  # that factor is not published


@pytest.mark.parametrize(
    ("tokens", "model", "doubtful"),
    [
        (108_900, PRO, False),
        (108_000, PRO, False),  # the price list counts 24 frames a second
        (982_344, PRO, True),
        (982_344, "dreamina-seedance-2-0-260128", True),
        (300_000, "dreamina-seedance-2-0-260128", False),  # it may have been given a video
        (54_450, "dreamina-seedance-2-0-260128", True),
        (0, PRO, True),
    ],
)
def test_the_formula_doubts_and_never_corrects(tokens: int, model: str, doubtful: bool) -> None:
    reading = polled(model=model, usage={"completion_tokens": tokens})
    assert reading.usage.video_tokens == tokens
    assert ("suspect:video_tokens" in reading.flags) is doubtful


def test_a_finished_task_without_usage_is_estimated_and_says_so() -> None:
    made = played(
        Step("POST", TASKS, {"id": "cgt-1"}, request()),
        Step("GET", f"{TASKS}/cgt-1", task(usage=None)),
    )
    assert made.event.usage.video_tokens == 108900
    assert made.event.properties["usage_source"] == "estimated"
    assert made.event.properties["flags"] == "counted,estimated:video_tokens"
    unknown = polled(usage={}, ratio="adaptive")
    assert unknown.flags == {"missing:video_tokens"}
    assert "video_tokens" not in unknown.usage
    assert polled(usage={}, duration=None).flags == {"missing:video_tokens", "invalid:duration"}


def test_tokens_that_nothing_explains_are_kept_without_a_doubt() -> None:
    reading = polled(duration="x", usage={"completion_tokens": 7})
    assert (reading.usage.video_tokens, reading.flags) == (7, {"invalid:duration"})


def test_frames_tell_the_length_where_no_duration_does() -> None:
    made = task(frames=121)
    del made["duration"]
    assert read(asked("GET", f"{TASKS}/cgt-1"), made).usage.video_seconds == 5
    made["frames"] = 57  # 24 a second, as Ark's documents count
    assert read(asked("GET", f"{TASKS}/cgt-1"), made).usage.video_seconds == Decimal("2.375")
    del made["frames"]
    reading = read(asked("GET", f"{TASKS}/cgt-1"), made)
    assert "video_seconds" not in reading.usage
    assert reading.flags == frozenset()  # the submit knows it


def test_searches_and_unknown_usage_are_seen() -> None:
    usage = {"completion_tokens": 108900, "tool_usage": {"web_search": 2}, "gpu_seconds": 3}
    reading = polled(usage=usage)
    assert reading.usage.web_search_count == 2
    assert reading.flags == {"unknown:gpu_seconds"}


def test_a_3d_model_is_an_output_and_no_video() -> None:
    reading = polled(content={"file_url": "https://x/1.glb"}, usage={"completion_tokens": 30000})
    assert dict(reading.usage) == {"output_count": 1, "video_tokens": 30000}


def test_a_callback_is_read_like_a_poll() -> None:
    call = webhook(task())
    assert call is not None
    assert read(call, task()).usage.video_tokens == 108900
    assert (call.provider, call.job_id, call.repeated) == ("byteplus", "cgt-1", True)
    assert ADAPTER.webhook is webhook
    for junk in ({}, {"id": "cgt-1"}, {"id": 7, "status": "failed"}, task(status="dancing")):
        assert webhook(junk) is None


def test_a_refused_submit_has_failed() -> None:
    body = {"error": {"code": "InvalidParameter", "message": "…", "type": "BadRequest"}}
    made = played(Step("POST", TASKS, body, request(), status=400))
    assert made.event.properties["outcome"] == "failed"
    assert made.event.properties["error_type"] == "InvalidParameter"
    assert dict(made.event.usage) == {"request_count": 1}
    odd = read(asked("POST", TASKS, request()), {"error": {"code": "a b"}})
    assert (odd.state, odd.error_type) == ("failed", "error")
    assert read(asked("POST", TASKS, request()), {"hello": 1}).usage == {}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled([task(frames=121), {"items": [task()]}]))
def test_no_junk_raises_or_becomes_a_number(payloads: list[Any]) -> None:
    single, page = payloads
    poll = asked("GET", f"{TASKS}/cgt-1")
    for payload in (single, page):
        assert is_clean(read_parsed(poll, payload))
    for reading in poll.api.read(page).jobs:
        assert is_clean(poll.api.settle(reading, asked("GET", TASKS)))
    assert webhook(single) is None or single["status"]
