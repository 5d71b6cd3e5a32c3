"""Anthropic's message batches: pending until their results are downloaded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.anthropic_wire import (
    Json,
    call,
    lifetimes,
    message,
    read_body,
    read_lines,
    tokens,
)
from tokenmeter.providers import Call, Reading
from tokenmeter.providers.base import NO_READING

PATH = "/v1/messages/batches"
BATCH_ID = "msgbatch_1"


def created() -> Call:
    return call(PATH)


def retrieved() -> Call:
    return call(f"{PATH}/{BATCH_ID}", "GET")


def results() -> Call:
    return call(f"{PATH}/{BATCH_ID}/results", "GET")


def batch(status: object = "in_progress", **counts: Any) -> Json:
    return {
        "id": BATCH_ID,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        "created_at": "2026-11-21T10:00:00Z",
        "ended_at": "2026-11-21T11:00:00Z" if status == "ended" else None,
    }


def succeeded(model: str, usage: Json) -> Json:
    usage = {**usage, "service_tier": "batch"}
    return line({"type": "succeeded", "message": message(usage, model=model)})


def line(result: object) -> Json:
    return {"custom_id": "my-request", "result": result}


def test_each_sight_of_a_batch_names_its_job() -> None:
    assert (created().job_id, created().repeated) == (None, False)
    for sight in (retrieved(), results()):
        assert (sight.job_id, sight.repeated, sight.provider) == (BATCH_ID, True, "anthropic")
        assert sight.api.operation == "messages.batches"
        assert sight.api.owns_ids


@pytest.mark.parametrize("status", ["in_progress", "canceling", "ended", None])
def test_trap_07_no_sight_of_a_batch_but_its_results_carries_usage(status: object) -> None:
    for asked in (created(), retrieved()):
        reading = read_body(batch(status, succeeded=3, errored=1), asked)
        assert (reading.state, reading.response_id) == ("pending", BATCH_ID)
        assert dict(reading.usage) == {}


def test_an_ended_batch_without_a_success_has_failed() -> None:
    body = batch("ended", succeeded=0, errored=1, canceled=0, expired=5)
    reading = read_body(body, retrieved())
    assert (reading.state, reading.error_type) == ("failed", "batch_expired")
    assert reading.created == "2026-11-21T11:00:00Z"
    assert reading.dimensions["batch_expired"] == "5"
    assert dict(reading.usage) == {}


@pytest.mark.parametrize("counts", [{}, {"succeeded": "0", "errored": 1}, {"succeeded": 0}])
def test_an_ended_batch_whose_counts_say_nothing_stays_pending(counts: Json) -> None:
    assert read_body(batch("ended", **counts), retrieved()).state == "pending"


def test_a_body_without_an_id_is_no_batch() -> None:
    assert read_body({"type": "message_batch"}, created()) == NO_READING


def test_the_results_of_a_batch_add_up_under_its_id() -> None:
    lines = [
        succeeded("claude-haiku-4-5", tokens(20, 5, write=3, cache_creation=lifetimes(1, 2))),
        succeeded("claude-haiku-4-5", tokens(30, 7, read=100)),
    ]
    reading = read_lines(lines, results())
    assert reading.response_id == BATCH_ID
    assert reading.model == "claude-haiku-4-5"
    assert reading.usage.input_tokens == 20 + 3 + 30 + 100
    assert reading.usage.output_tokens == 12
    assert (reading.usage.cache_read_tokens, reading.usage.cache_write_1h_tokens) == (100, 2)
    assert reading.usage.output_count == 2
    assert reading.dimensions == {"service_tier": "batch", "batch_succeeded": "2"}
    assert reading.parts == ()
    assert reading.state is None  # a broken download must not count as the whole


def mixed() -> list[Json]:
    return [
        succeeded("claude-sonnet-5", tokens(20, 5)),
        succeeded("claude-haiku-4-5", tokens(30, 7, inference_geo="us")),
        succeeded("claude-haiku-4-5", tokens(1, 2, inference_geo="global")),
        succeeded("claude-haiku-4-5", tokens(4, 8, inference_geo="us")),
    ]


def test_a_batch_of_several_models_and_terms_has_a_part_for_each() -> None:
    reading = read_lines(mixed(), results())
    assert (reading.model, reading.usage.input_tokens) == ("claude-haiku-4-5", 1)
    assert reading.dimensions["inference_geo"] == "global"
    us, sonnet = reading.parts
    assert (us.name, us.model) == ("claude-haiku-4-5-us", "claude-haiku-4-5")
    assert (us.usage.input_tokens, us.usage.output_count) == (34, 2)
    assert us.dimensions == {"service_tier": "batch", "inference_geo": "us"}
    assert (sonnet.name, sonnet.usage.output_tokens) == ("claude-sonnet-5", 5)


def test_the_order_of_the_results_does_not_matter() -> None:
    forth, back = (read_lines(lines, results()) for lines in (mixed(), mixed()[::-1]))
    assert (forth.usage, forth.model, forth.parts) == (back.usage, back.model, back.parts)


def test_what_failed_in_a_batch_is_counted() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "secret"}}
    lines = [
        succeeded("claude-haiku-4-5", tokens(20, 5)),
        line({"type": "errored", "error": error}),
        line({"type": "expired"}),
        line({"type": "expired"}),
        line({"type": "canceled"}),
    ]
    reading = read_lines(lines, results())
    assert reading.state is None
    assert {k: v for k, v in reading.dimensions.items() if k.startswith("batch_")} == {
        "batch_succeeded": "1",
        "batch_errored": "1",
        "batch_expired": "2",
        "batch_canceled": "1",
    }
    assert "secret" not in repr(reading)


def test_results_without_a_success_are_a_failure() -> None:
    reading = read_lines([line({"type": "canceled"}), line({"type": "canceled"})], results())
    assert (reading.state, reading.error_type) == ("failed", "batch_canceled")
    assert dict(reading.usage) == {}


def test_sub_calls_in_a_batch_are_counted_under_their_model() -> None:
    advised = {"type": "advisor_message", "model": "claude-opus-4-8", **tokens(50, 6)}
    compacted = {"type": "compaction", **tokens(900, 40)}
    own = {"type": "message", **tokens(20, 5)}
    usage = tokens(20, 5, iterations=[own, advised, compacted])
    reading = read_lines([succeeded("claude-haiku-4-5", usage)], results())
    assert reading.usage.input_tokens == 920
    assert [(p.model, p.usage.input_tokens) for p in reading.parts] == [("claude-opus-4-8", 50)]


def test_a_message_without_a_model_still_counts() -> None:
    body = message(tokens(20, 5))
    del body["model"]
    reading = read_lines([line({"type": "succeeded", "message": body})], results())
    assert (reading.model, reading.usage.input_tokens) == (None, 20)


def test_a_success_without_usage_is_counted_as_an_entry_only() -> None:
    reading = read_lines([line({"type": "succeeded", "message": message(None)})], results())
    assert dict(reading.usage) == {}
    assert reading.dimensions["batch_succeeded"] == "1"
    assert reading.state is None


@pytest.mark.parametrize("result", [None, "succeeded", {"type": "lost"}, {"type": ["succeeded"]}])
def test_a_line_that_is_no_result_is_flagged(result: object) -> None:
    reading = read_lines([line(result)], results())
    assert reading.flags == {"unknown:result"}
    assert dict(reading.usage) == {}


def test_an_error_does_not_end_the_job() -> None:
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "secret"}}
    for asked in (created(), retrieved(), results()):
        reading = read_body(error, asked)
        assert (reading.state, reading.error_type) == ("failed", "rate_limit_error")
        assert reading.response_id is None
        assert dict(reading.usage) == {}


def test_results_that_say_nothing_do_not_end_the_job() -> None:
    for lines in ([], [{"junk": 1}, {"junk": 2}]):
        reading = read_lines(lines, results())
        assert (reading.response_id, reading.state) == (None, None)


def test_results_take_the_memory_of_their_models_not_of_their_lines() -> None:
    asked = results()
    reading = NO_READING
    for _ in range(2_000):
        reading = reading.plus(asked.api.read(succeeded("claude-haiku-4-5", tokens(1, 1))))
    assert len(reading.usage) < 20
    assert settled(reading, asked).usage.input_tokens == 2_000


def settled(reading: Reading, asked: Call) -> Reading:
    return asked.api.settle(reading, asked)
