"""What each OpenAI-compatible host does differently, on hand-written traffic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import (
    CHAT,
    RESPONSES,
    body_of,
    call,
    chat,
    chunk,
    get,
    response,
    response_tokens,
    stream_of,
    tokens,
)
from tokenmeter.providers import Request
from tokenmeter.providers.compatible import (
    credit_cost,
    describe_compatible,
    ticks_cost,
    total_cost,
)
from tokenmeter.providers.openai_images import COUNTED

XAI, OPENROUTER = "api.x.ai", "openrouter.ai"


def test_trap_04_reasoning_lies_outside_of_xais_completion() -> None:
    details = {"reasoning_tokens": 77}
    asked = call(CHAT, {"model": "grok-4"}, host=XAI)
    told = tokens(390, 26, completion_tokens_details=details, total_tokens=493)
    assert body_of(asked, chat(told)).usage.output_tokens == 103
    untold = {"prompt_tokens": 390, "completion_tokens": 26, "completion_tokens_details": details}
    reading = body_of(asked, chat(untold))
    assert (reading.usage.output_tokens, reading.usage.total_tokens) == (103, 493)
    unnamed = body_of(
        asked, chat(tokens(390, 26, completion_tokens_details=None, total_tokens=493))
    )
    assert (unnamed.usage.output_tokens, unnamed.usage.reasoning_tokens) == (103, 77)


def test_reasoning_that_the_total_says_lies_inside_is_not_added() -> None:
    inside = tokens(390, 103, completion_tokens_details={"reasoning_tokens": 77})
    reading = body_of(call(CHAT, host=XAI), chat(inside))
    assert reading.usage.output_tokens == 103
    usage = response_tokens(475, 91, output_tokens_details={"reasoning_tokens": 59})
    assert body_of(call(RESPONSES, host=XAI), response(usage)).usage.output_tokens == 91


def test_xai_states_its_charge_in_ticks() -> None:
    usage = tokens(10, 2, cost_in_usd_ticks=161_508_500)
    assert body_of(call(CHAT, host=XAI), chat(usage)).cost == "0.01615085"
    assert body_of(call(CHAT, host=XAI), chat(tokens(1, 1))).cost is None


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ({"cost_in_nano_usd": 16_150_850}, "0.01615085"),
        ({"cost_in_nano_usd": 9, "cost_in_usd_ticks": 161_508_500}, "0.01615085"),
        ({"cost_in_nano_usd": 7, "cost_in_usd_ticks": None}, "0.000000007"),
        ({"cost_in_nano_usd": "7", "cost_in_usd_ticks": -1}, None),
    ],
)
def test_xai_may_state_its_charge_in_thousand_millionths(
    told: dict[str, Any], cost: str | None
) -> None:
    reading = body_of(call(CHAT, host=XAI), chat(tokens(10, 2, **told)))
    assert reading.cost == cost
    assert "unknown:cost_in_nano_usd" not in reading.flags


def test_the_ticks_of_a_model_that_another_host_resells_are_not_its_charge() -> None:
    azure = call("/models/chat/completions", host="x.services.ai.azure.com")
    assert body_of(azure, chat(tokens(1, 1, cost_in_usd_ticks=0))).cost is None


def test_xais_searches_and_runs_are_counted_where_it_counts_them() -> None:
    details = {
        "web_search_calls": 2,
        "x_search_calls": 1,
        "file_search_calls": 4,
        "code_interpreter_calls": 3,
        "mcp_calls": 5,
        "document_search_calls": 6,
    }
    usage = response_tokens(10, 5, server_side_tool_usage_details=details)
    items = [{"type": "code_interpreter_call", "id": f"ci_{n}"} for n in range(2)]
    reading = body_of(call(RESPONSES, host=XAI), response(usage, output=items))
    assert (reading.usage.web_search_count, reading.usage.social_search_count) == (2, 1)
    assert (reading.usage.file_search_count, reading.usage.code_execution_count) == (4, 3)
    assert reading.flags == frozenset()


def test_a_video_of_xai_is_a_job_named_by_its_request_id() -> None:
    created = call("/v1/videos/generations", {"model": "grok-imagine-video"}, host=XAI)
    begun = body_of(created, {"request_id": "c84748c1"})
    assert (begun.state, begun.response_id) == ("pending", "c84748c1")
    poll = get("/v1/videos/c84748c1", host=XAI)
    waiting = body_of(poll, {"status": "pending", "progress": 94})
    assert (waiting.state, waiting.response_id) == ("pending", "c84748c1")
    done = {"status": "done", "video": {"duration": 6}, "usage": {"cost_in_usd_ticks": 5 * 10**8}}
    made = body_of(poll, done)
    assert (made.state, made.usage.video_seconds, made.cost) == ("success", 6, "0.05")
    assert body_of(poll, {"status": "expired"}).state == "failed"


def test_xais_transcription_is_counted_in_seconds() -> None:
    reading = body_of(call("/v1/stt", host=XAI), {"text": "Hi", "duration": 4})
    assert (reading.usage.audio_seconds, reading.flags) == (4, COUNTED)


@pytest.mark.parametrize(
    ("cost", "is_byok", "upstream", "charged"),
    [
        (0.066407, False, 0.066407, "0.066407"),
        (9.595e-05, False, None, "0.00009595"),
        (0, False, None, "0"),
        (0.0005, True, 0.01, "0.0105"),
        (0.0005, True, None, None),
        (-1, False, None, None),
        ("free", False, None, None),
        (float("nan"), False, None, None),
        (True, False, None, None),
    ],
)
def test_openrouter_adds_the_upstream_bill_only_with_the_users_own_key(
    cost: Any, upstream: Any, charged: str | None, *, is_byok: bool
) -> None:
    details = {"upstream_inference_cost": upstream}
    usage = tokens(9, 1, cost=cost, is_byok=is_byok, cost_details=details)
    reading = body_of(call("/api/v1/chat/completions", host=OPENROUTER), chat(usage))
    assert reading.cost == charged


def test_a_cost_is_taken_only_from_hosts_that_are_known_to_state_it() -> None:
    for host in ("api.openai.com", "gateway.test"):
        assert body_of(call(CHAT, host=host), chat(tokens(1, 1, cost=7))).cost is None


def test_openrouters_searches_are_counted() -> None:
    usage = tokens(9, 1, server_tool_use_details={"web_search_requests": 3})
    assert body_of(call(CHAT, host=OPENROUTER), chat(usage)).usage.web_search_count == 3


def perplexed(content: str, done: bool, **usage: Any) -> dict[str, Any]:
    choice = {"delta": {"content": content}, "message": {"content": content}}
    finish = "stop" if done else None
    kind = "chat.completion.done" if done else "chat.completion.chunk"
    return chunk(object=kind, choices=[{**choice, "finish_reason": finish}], usage=usage)


def test_perplexity_states_its_charge_in_the_last_chunk_only() -> None:
    asked = call("/chat/completions", {"model": "sonar", "stream": True}, host="api.perplexity.ai")
    first = perplexed("a", done=False, **tokens(8, 1), cost={"total_cost": 0})
    last = perplexed("b", done=True, **tokens(8, 5), cost={"total_cost": 0.00501})
    assert stream_of(asked, first, last).cost == "0.00501"
    assert stream_of(asked, first, last).usage.output_tokens == 5
    cut = stream_of(asked, first)
    assert (cut.state, cut.cost, cut.usage.output_tokens) == (None, None, 1)


def test_perplexitys_citations_and_deep_reasoning_lie_outside_of_its_totals() -> None:
    usage = tokens(
        33, 7163, citation_tokens=20_016, reasoning_tokens=73_997, num_search_queries=18
    )
    read = body_of(call("/chat/completions", host="api.perplexity.ai"), chat(usage)).usage
    assert (read.input_tokens, read.tool_use_input_tokens) == (20_049, 20_016)
    assert (read.output_tokens, read.reasoning_tokens) == (81_160, 73_997)
    assert (read.total_tokens, read.web_search_count) == (101_209, 18)


def test_a_charge_in_another_currency_is_not_taken_for_dollars() -> None:
    assert total_cost({"cost": {"total_cost": 1, "currency": "EUR"}}) is None
    assert total_cost({"cost": {"total_cost": 1, "currency": "USD"}}) == 1
    assert total_cost({"cost": 3}) is None


@pytest.mark.parametrize("rule", [ticks_cost, credit_cost, total_cost])
def test_a_host_that_states_no_cost_yields_none(rule: Any) -> None:
    assert rule({}) is None


def test_groq_reports_a_streams_usage_beside_the_chunk() -> None:
    asked = call(
        "/openai/v1/chat/completions", {"model": "m", "stream": True}, host="api.groq.com"
    )
    ended = [{"delta": {}, "finish_reason": "stop"}]
    last = chunk(choices=ended, usage=None, x_groq={"id": "req_1", "usage": tokens(343, 180)})
    first = chunk("a", usage=None, x_groq={"id": "req_1"})
    reading = stream_of(asked, first, last)
    assert (reading.usage.input_tokens, reading.state) == (343, "success")
    assert dict(stream_of(asked, chunk("a", usage=None, x_groq=7)).usage) == {}


def test_deepseek_names_its_cache_hits_otherwise() -> None:
    usage = tokens(362, 19, prompt_cache_hit_tokens=256, prompt_cache_miss_tokens=106)
    reading = body_of(call("/chat/completions", host="api.deepseek.com"), chat(usage))
    assert (reading.usage.cache_read_tokens, reading.usage.uncached_input_tokens) == (256, 106)
    assert reading.flags == frozenset()


def test_mistral_counts_sound_outside_of_the_prompt_and_states_the_tier_in_the_usage() -> None:
    usage = tokens(
        5,
        20,
        prompt_tokens_details={"audio_tokens": 375},
        prompt_audio_seconds=3,
        total_tokens=400,
        service_tier="standard",
    )
    asked = call("/v1/audio/transcriptions", {"model": "voxtral"}, host="api.mistral.ai")
    reading = body_of(asked, {"text": "Hi", "usage": usage})
    assert (reading.usage.input_tokens, reading.usage.input_audio_tokens) == (380, 375)
    assert (reading.usage.audio_seconds, reading.flags) == (3, frozenset())
    spoken = body_of(call(CHAT, host="api.mistral.ai"), chat({**usage}))
    assert spoken.dimensions == {"service_tier": "standard"}


def test_geminis_unnamed_thoughts_are_what_its_total_holds_beyond_the_rest() -> None:
    request = Request("POST", "h", "/v1beta/openai/chat/completions", body={"model": "m"})
    asked = describe_compatible(request, "google")
    assert asked is not None
    thought = body_of(asked, chat(tokens(9, 34, total_tokens=300)))
    assert (thought.usage.output_tokens, thought.usage.reasoning_tokens) == (291, 257)
    assert body_of(asked, chat(tokens(9, 34))).usage.output_tokens == 34
    assert body_of(asked, chat(tokens(9, 34, total_tokens=20))).usage.output_tokens == 34


def test_together_and_vercel_name_the_cache_at_the_top() -> None:
    usage = tokens(41, 15, cached_tokens=30, cache_creation_input_tokens=5)
    reading = body_of(call(CHAT, host="api.together.xyz"), chat(usage))
    assert (reading.usage.cache_read_tokens, reading.usage.cache_write_tokens) == (30, 5)
