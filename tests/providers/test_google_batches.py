"""Batches of the Gemini API: jobs whose answers come within them or in a file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.google_wire import FLASH, HELLO, Json, answer, call, metadata, read_body

BATCH = f"{FLASH}:batchGenerateContent"


def batch(state: str, **more: Any) -> Json:
    facts = {"model": "models/gemini-2.5-flash", "state": state, "endTime": "2026-11-20T00:00:00Z"}
    return {"name": "batches/b1", "metadata": facts, **more}


@pytest.mark.parametrize("state", ["BATCH_STATE_PENDING", "BATCH_STATE_RUNNING", "NEW_WORD", ""])
def test_a_batch_is_pending_until_it_says_otherwise(state: str) -> None:
    reading = read_body(call(BATCH), batch(state))
    assert (reading.state, reading.response_id) == ("pending", "batches/b1")
    polled = call("/v1beta/batches/b1", method="GET")
    assert (polled.repeated, polled.job_id) == (True, "batches/b1")
    assert call(BATCH).api.operation == "generateContent.batches"


def test_answers_within_a_batch_are_added_up_at_its_tier() -> None:
    lines = [
        {"response": answer(metadata(5, 7, thoughtsTokenCount=1), HELLO)},
        {"response": answer(metadata(50, 70), HELLO, responseId="r2")},
        {"error": {"code": 3}},
        {},
        7,
    ]
    response = {"inlinedResponses": {"inlinedResponses": lines}}
    polled = call("/v1beta/batches/b1", method="GET")
    reading = read_body(polled, batch("BATCH_STATE_SUCCEEDED", done=True, response=response))
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (55, 78)
    assert reading.usage.output_count == 2
    assert reading.flags == {"batch_errors"}
    assert reading.dimensions == {"service_tier": "batch"}
    assert (reading.state, reading.response_id) == ("success", "batches/b1")
    assert reading.created == "2026-11-20T00:00:00Z"


def test_embeddings_within_a_batch_count_their_tokens() -> None:
    asked = call(f"{FLASH}:asyncBatchEmbedContent")
    lines = [{"response": {"embedding": {}, "tokenCount": 4}}, {"response": {"tokenCount": 5}}]
    output = {"inlinedEmbedContentResponses": {"inlinedResponses": lines}}
    done = {"name": "batches/b1", "state": "JOB_STATE_SUCCEEDED", "output": output}
    reading = read_body(asked, done)
    assert (asked.api.event_name, reading.usage.input_tokens) == ("embedding_created", 9)


def test_answers_in_a_file_are_counted_when_it_is_downloaded() -> None:
    polled = call("/v1beta/batches/b1", method="GET")
    ended = batch("BATCH_STATE_SUCCEEDED", done=True, response={"responsesFile": "files/batch-b1"})
    assert read_body(polled, ended).state == "pending"
    fetched = call("/download/v1beta/files/batch-b1:download", method="GET")
    assert (fetched.repeated, fetched.job_id) == (True, "batches/b1")
    assert fetched.api.adds
    lines = [{"key": str(n), "response": answer(metadata(5, n), HELLO)} for n in range(3)]
    reading = read_body(fetched, lines)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (15, 3)
    assert (reading.response_id, reading.model) == ("batches/b1", "gemini-2.5-flash")


@pytest.mark.parametrize("state", ["BATCH_STATE_FAILED", "JOB_STATE_CANCELLED"])
def test_a_batch_that_ended_badly_has_failed(state: str) -> None:
    reading = read_body(call(BATCH), batch(state, done=True))
    assert (reading.state, reading.error_type) == ("failed", state.split("_")[-1].lower())
    refused = read_body(call(BATCH), {"error": {"status": "INVALID_ARGUMENT"}})
    assert (refused.state, refused.error_type) == ("failed", "INVALID_ARGUMENT")
    assert read_body(call(BATCH), {}).state is None
