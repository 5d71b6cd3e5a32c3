"""Batches, runs of assistants, videos: pending until they end, billed for what ran."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import CUSTOMER, Step, played
from tests.providers.openai_wire import (
    Json,
    body_of,
    call,
    get,
    response_tokens,
    stream_of,
    tokens,
)
from tests.providers.sample_steps import OPENAI
from tokenmeter.providers import Reading
from tokenmeter.providers.openai_images import COUNTED

RUNS = "/v1/threads/thread_1/runs"
XAI = "https://api.x.ai/v1/chat"


def batch(**fields: Any) -> Reading:
    body = {"id": "batch_1", "object": "batch", "status": "completed", "created_at": 100}
    return body_of(get("/v1/batches/batch_1"), {**body, **fields})


def test_a_new_batch_is_a_job_and_its_poll_a_repeated_sight() -> None:
    created = call("/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/responses"})
    reading = body_of(created, {"id": "batch_1", "object": "batch", "status": "validating"})
    assert (reading.state, reading.response_id) == ("pending", "batch_1")
    assert (created.repeated, get("/v1/batches/batch_1").repeated) == (False, True)
    assert call("/v1/batches/batch_1/cancel").repeated
    assert created.api.owns_ids


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling"])
def test_a_batch_that_goes_on_is_pending(status: str) -> None:
    assert batch(status=status, usage=None).state == "pending"


def test_a_completed_batch_is_billed_at_the_batch_tier_when_it_ended() -> None:
    usage = response_tokens(900, 90, input_tokens_details={"cached_tokens": 300})
    reading = batch(usage=usage, completed_at=200, model="gpt-5")
    assert (reading.state, reading.created, reading.model) == ("success", 200, "gpt-5")
    assert reading.dimensions == {"service_tier": "batch"}
    assert reading.usage.uncached_input_tokens == 600


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_batch_cut_short_is_billed_for_what_ran(status: str) -> None:
    cut = batch(status=status, usage=response_tokens(90, 9), **{f"{status}_at": 300})
    assert (cut.state, cut.error_type, cut.created) == ("success", None, 300)
    assert cut.flags == {status}
    counted = batch(status=status, request_counts={"total": 9, "completed": 4})
    assert counted.state == "success"
    nothing = batch(status=status, usage=response_tokens(0, 0), request_counts={"completed": 0})
    assert (nothing.state, nothing.error_type) == ("failed", status)


def test_a_batch_that_failed_has_failed() -> None:
    reading = batch(status="failed", errors={"data": [{"code": "invalid_json_line"}]})
    assert (reading.state, reading.error_type) == ("failed", "failed")


def test_what_is_no_batch_is_not_read_as_one() -> None:
    assert batch(object="list", usage=response_tokens(1, 1)).state is None


def run(**fields: Any) -> Json:
    begun = {"id": "run_1", "object": "thread.run", "created_at": 100, "model": "gpt-4o"}
    return {**begun, "status": "completed", **fields}


def test_a_run_is_a_job_until_it_is_completed() -> None:
    created = body_of(call(RUNS, {"assistant_id": "asst_1"}), run(status="queued"))
    assert (created.state, created.response_id) == ("pending", "run_1")
    waiting = body_of(get(f"{RUNS}/run_1"), run(status="requires_action"))
    assert waiting.state == "pending"
    seen = body_of(get(f"{RUNS}/run_1"), run(usage=tokens(364, 88), completed_at=300))
    assert (seen.state, seen.usage.input_tokens, seen.created) == ("success", 364, 100)


def test_a_run_that_goes_on_after_its_tools_is_the_same_run() -> None:
    described = call(f"{RUNS}/run_1/submit_tool_outputs", {"stream": True})
    assert (described.repeated, described.job_id, described.streamed) == (True, "run_1", True)


def test_the_steps_of_a_run_do_not_count_twice() -> None:
    step = {"id": "step_1", "object": "thread.run.step", "usage": tokens(300, 80)}
    delta = {
        "object": "thread.message.delta",
        "delta": {"content": [{"text": {"value": "Hi"}}, {"text": {"value": 3}}, 7]},
    }
    asked = call(RUNS, {"assistant_id": "asst_1", "stream": True})
    reading = stream_of(asked, run(status="queued"), delta, step, run(usage=tokens(364, 88)))
    assert (reading.state, reading.usage.input_tokens) == ("success", 364)
    assert asked.api.text is not None
    assert asked.api.text(delta) == "Hi"
    assert asked.api.text({"delta": {"content": 7}}) == ""


def test_a_run_that_failed_names_its_error() -> None:
    error = {"code": "rate_limit_exceeded", "message": "secret words"}
    reading = body_of(get(f"{RUNS}/run_1"), run(status="failed", last_error=error))
    assert (reading.state, reading.error_type) == ("failed", "rate_limit_exceeded")
    broken = stream_of(call(RUNS), {"error": {"code": "server_error", "message": "m"}})
    assert (broken.state, broken.error_type) == ("failed", "server_error")


def test_a_run_cut_short_is_billed_for_what_ran() -> None:
    reading = body_of(get(f"{RUNS}/run_1"), run(status="expired", usage=tokens(50, 5)))
    assert (reading.state, reading.usage.output_tokens) == ("success", 5)


def video(status: str, **fields: Any) -> Reading:
    body = {"id": "video_1", "object": "video", "model": "sora-2", "status": status}
    return body_of(get("/v1/videos/video_1"), {**body, "created_at": 100, **fields})


def test_a_video_is_a_job_with_the_size_that_was_asked_for() -> None:
    created = call("/v1/videos", {"model": "sora-2", "size": "1280x720", "seconds": "8"})
    assert created.dimensions == {"size": "1280x720", "resolution": "720p"}
    reading = body_of(created, {"id": "video_1", "status": "queued", "seconds": "8"})
    assert (reading.state, dict(reading.usage)) == ("pending", {"video_seconds": 8})
    assert not call("/v1/videos/video_1/remix", {"prompt": "x"}).repeated


def test_a_completed_video_is_counted_in_seconds() -> None:
    reading = video("completed", seconds="8", size="1280x720", completed_at=200)
    one = dict.fromkeys(("video_count", "output_count", "video_jobs"), 1)
    assert dict(reading.usage) == {"video_seconds": 8, **one}
    assert reading.dimensions == {"size": "1280x720", "resolution": "720p"}
    assert (reading.state, reading.created, reading.flags) == ("success", 200, COUNTED)
    assert "video_seconds" not in video("completed", seconds="long").usage


def test_a_video_has_openais_defaults_and_only_openais() -> None:
    created = call("/v1/videos", {"prompt": "a fox"})
    assert created.request_model == "sora-2"
    assert created.dimensions == {"size": "720x1280", "resolution": "720p"}
    for place in ("/v1/videos/edits", "/v1/videos/video_1/remix"):  # as the other video is
        assert (call(place, {}).request_model, dict(call(place, {}).dimensions)) == (None, {})


def test_a_page_of_videos_ends_those_on_it_that_ended() -> None:
    one = {"object": "video", "model": "sora-2", "seconds": "8", "size": "1280x720"}
    queued, ended = {**one, "status": "queued"}, {**one, "status": "completed"}
    page = {"object": "list", "data": [{**ended, "id": "video_1"}, {**queued, "id": "video_2"}]}
    made = played(
        *[Step("POST", f"{OPENAI}/videos", {**queued, "id": f"video_{i}"}, {}) for i in (1, 2)],
        *[Step("GET", f"{OPENAI}/videos?limit=20", page)] * 3,
    )
    assert made.event.external_customer_id == CUSTOMER
    assert (made.event.usage.video_seconds, made.event.properties["cost_usd"]) == (8, "0.8")
    assert [job["job_id"] for job in made.pending] == ["video_2"]
    assert played(Step("GET", f"{OPENAI}/videos", {"object": "list", "data": []})).events == []


def test_trap_21_an_extension_is_billed_by_the_new_seconds_not_by_the_whole() -> None:
    extended = {"id": "video_2", "object": "video", "model": "sora-2", "seconds": "12"}
    asked = {"prompt": "go on", "seconds": "4", "video": {"id": "video_1"}}
    event = played(
        Step("POST", f"{OPENAI}/videos/extensions", {**extended, "status": "queued"}, asked),
        Step("GET", f"{OPENAI}/videos/video_2", {**extended, "status": "completed"}),
    ).event
    assert (event.usage.video_seconds, event.usage.video_count) == (4, 1)
    assert "asked:" not in str(event.properties.get("flags"))
    place = "/v1/videos/extensions"
    assert dict(call(place, {"prompt": "x", "seconds": "long"}).usage) == {}
    refused = body_of(call(place, asked), {"error": {"code": "moderation_blocked"}})
    assert (refused.state, dict(refused.usage)) == ("failed", {})


def test_a_video_that_failed_has_no_seconds() -> None:
    reading = video("failed", seconds="8", error={"code": "moderation_blocked"})
    assert (reading.state, reading.error_type) == ("failed", "moderation_blocked")
    assert dict(reading.usage) == {}


def test_the_seconds_that_were_asked_for_stand_where_the_end_names_none() -> None:
    place = "https://openrouter.ai/api/v1/videos"
    asked = {"model": "google/veo-3.1", "prompt": "x", "duration": 8}
    ended = {"id": "job-1", "status": "completed", "usage": {"cost": 3.2, "is_byok": False}}
    event = played(
        Step("POST", place, {"id": "job-1", "status": "pending"}, asked, status=202),
        Step("GET", f"{place}/job-1", ended),
    ).event
    assert (event.usage.video_seconds, event.properties["reported_cost_usd"]) == (8, "3.2")


def test_a_chat_that_is_fetched_later_is_one_event_of_its_own_usage() -> None:
    create, fetch = f"{XAI}/completions", f"{XAI}/deferred-completion/later"
    asked: Json = {"model": "grok-4", "messages": [], "deferred": True}
    chat: Json = {"id": "other", "object": "chat.completion", "model": "grok-4-0709"}
    chat |= {"choices": [{"message": {"content": "x"}}], "usage": tokens(30, 10)}
    result = played(
        Step("POST", create, {**chat, "id": "first"}, {**asked, "deferred": False}),
        Step("POST", create, {"request_id": "later"}, asked),
        Step("GET", fetch, chat),
        Step("GET", fetch, chat),
    )
    assert [event.properties["input_tokens"] for event in result.events] == [30, 30]
    assert "deferred" not in str(result.events[0].properties)
    assert (result.events[1].properties["request_model"], result.pending) == ("grok-4", [])


def test_a_chat_that_is_to_be_fetched_is_pending_until_then() -> None:
    create = f"{XAI}/completions"
    asked: Json = {"model": "grok-4", "messages": [], "deferred": True}
    waiting = played(Step("POST", create, {"request_id": "later"}, asked))
    assert (waiting.events, [job["job_id"] for job in waiting.pending]) == ([], ["later"])
    refused = played(Step("POST", create, {"error": "no", "request_id": "r"}, asked))
    assert refused.event.properties["outcome"] == "failed"
