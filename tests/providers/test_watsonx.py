"""IBM's watsonx.ai and Snowflake's Cortex: OpenAI's form at paths of their own, and more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import ask, body_of, call, chat, stream_of, tokens
from tokenmeter.providers import Call

IBM = "us-south.ml.cloud.ibm.com"
SNOWFLAKE = "acme-eu.snowflakecomputing.com"
GRANITE = "ibm/granite-3-3-8b-instruct"


def at_ibm(place: str, **body: Any) -> Call:
    return call(f"/ml/v1/{place}", {"model_id": GRANITE, **body}, host=IBM)


def event(text: str, made: int, read: int = 0, reason: str = "not_finished") -> dict[str, Any]:
    counted = {"generated_token_count": made, "input_token_count": read, "stop_reason": reason}
    return {"model_id": GRANITE, "results": [{"generated_text": text, **counted}]}


def test_a_chat_is_read_in_openais_form_under_the_model_that_was_asked() -> None:
    asked = at_ibm("text/chat", messages=[])
    assert (asked.provider, asked.request_model, asked.streamed) == ("watsonx", GRANITE, False)
    body = {**chat(tokens(30, 7)), "model_id": GRANITE, "model": None}
    reading = body_of(asked, body)
    assert (reading.state, reading.usage.total_tokens) == ("success", 37)


def test_a_streamed_chat_has_a_path_of_its_own() -> None:
    asked = at_ibm("text/chat_stream", messages=[])
    assert (asked.streamed, asked.edited_body) == (True, None)
    delta = {"choices": [{"index": 0, "delta": {"content": "Hi"}}], "model_id": GRANITE}
    last = {"choices": [], "usage": tokens(30, 7), "model_id": GRANITE}
    reading = stream_of(asked, delta, last)
    assert (reading.state, reading.usage.input_tokens) == ("success", 30)


def test_a_deployment_is_the_model_where_none_is_named() -> None:
    asked = call("/ml/v1/deployments/d-1/text/chat", {"messages": []}, host=IBM)
    assert asked.request_model == "d-1"


def test_a_text_reports_its_tokens_beside_it() -> None:
    reading = body_of(at_ibm("text/generation"), event("4000", 2, 68, "eos_token"))
    assert (reading.state, reading.model) == ("success", GRANITE)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (68, 2)
    assert (reading.usage.total_tokens, reading.usage.uncached_input_tokens) == (70, 68)
    silent = body_of(at_ibm("text/generation"), event("", 0, 68, "max_tokens"))
    assert silent.usage.output_tokens == 0


def test_a_streamed_text_counts_its_output_on_and_its_input_once() -> None:
    asked = at_ibm("text/generation_stream")
    events = [event("", 0, 68), event("40", 1), event("00", 2), event("", 0, 0, "eos_token")]
    reading = stream_of(asked, *events)
    assert (reading.state, reading.usage.input_tokens, reading.usage.output_tokens) == (
        *("success", 68),
        2,
    )
    left = stream_of(asked, *events[:2])
    assert (left.state, left.usage.output_tokens) == (None, 1)
    assert asked.api.text is not None
    assert asked.api.text(events[1]) == "40"


@pytest.mark.parametrize(
    ("place", "streamed"), [("generation/text", False), ("generation/text_stream", True)]
)
def test_the_paths_of_the_beta_are_todays(place: str, streamed: bool) -> None:
    asked = call(f"/ml/v1-beta/{place}", {"model_id": GRANITE}, host=IBM)
    assert (asked.request_model, asked.api.operation) == (GRANITE, "text.generation")
    assert asked.streamed is streamed


@pytest.mark.parametrize(
    ("place", "kind"), [("embeddings", "embedding_created"), ("rerank", "api_calls")]
)
def test_embeddings_and_reranks_report_their_input(place: str, kind: str) -> None:
    asked = at_ibm(f"text/{place}")
    answer = {"model_id": GRANITE, "results": [{"embedding": [0.1]}], "input_token_count": 12}
    reading = body_of(asked, answer)
    assert (asked.api.event_name, reading.state) == (kind, "success")
    assert reading.usage.input_tokens == 12


def test_an_error_names_its_code_and_odd_counts_are_flagged() -> None:
    refused = {"errors": [{"code": "model_not_supported", "message": "secret"}], "trace": "t"}
    reading = body_of(at_ibm("text/generation"), refused)
    assert (reading.state, reading.error_type) == ("failed", "model_not_supported")
    odd = body_of(at_ibm("text/generation"), event("x", -1, 5, "eos_token"))
    assert odd.flags == {"invalid:generated_token_count"}
    assert body_of(at_ibm("text/generation"), {"results": "junk"}).state is None


def test_what_is_free_or_no_post_is_no_call() -> None:
    assert ask("/ml/v1/text/tokenization", {"model_id": GRANITE}, host=IBM) is None
    assert ask("/ml/v1/text/generation", method="GET", host=IBM) is None


def test_cortex_completes_at_a_path_of_its_own() -> None:
    asked = call("/api/v2/cortex/inference:complete", {"model": "llama3.1-70b"}, host=SNOWFLAKE)
    assert (asked.provider, asked.request_model) == ("snowflake", "llama3.1-70b")
    assert (asked.streamed, asked.edited_body) == (True, None)
    content = {"type": "text", "content": "Hi", "content_list": [{"type": "text", "text": "Hi"}]}
    delta = {"choices": [{"delta": content}], "model": "llama3.1-70b"}
    reading = stream_of(asked, delta, {"choices": [{"delta": {}}], "usage": tokens(5, 9)})
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (5, 9)
    whole = call("/api/v2/cortex/inference:complete", {"stream": False}, host=SNOWFLAKE)
    assert not whole.streamed


def test_cortex_embeds_and_speaks_the_formats_of_others() -> None:
    embedded = call("/api/v2/cortex/inference:embed", {"model": "e5"}, host=SNOWFLAKE)
    reading = body_of(embedded, {"data": [], "model": "e5", "usage": {"total_tokens": 10}})
    assert (embedded.api.event_name, reading.usage.input_tokens) == ("embedding_created", 10)
    for path, operation in (
        ("/api/v2/cortex/v1/chat/completions", "chat.completions"),
        ("/api/v2/cortex/v1/messages", "messages"),
        ("/api/v2/cortex/anthropic/v1/messages", "messages"),
    ):
        asked = call(path, {"model": "claude-sonnet-5", "messages": []}, host=SNOWFLAKE)
        assert (asked.provider, asked.api.operation) == ("snowflake", operation)
    assert ask("/api/v2/cortex/models", method="GET", host=SNOWFLAKE) is None
