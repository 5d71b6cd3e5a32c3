"""What a provider says it charged, from the wire to the event, beside what we worked out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.capture.play import Answer, Player
from tests.capture.wire import JSON, SSE, sse
from tests.providers.exchanges import ASK, Json, chat, chat_usage
from tokenmeter import TokenMeter
from tokenmeter.pricing.pricebook import DRIFT_MAX

XAI = "https://api.x.ai/v1/chat/completions"
ROUTER = "https://openrouter.ai/api/v1/chat/completions"
MESSAGES = "https://openrouter.ai/api/v1/messages"
PERPLEXITY = "https://api.perplexity.ai/chat/completions"
PROXY = "http://llm.internal:4000/v1/chat/completions"
HEADER = "x-litellm-response-cost"


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:", hosts={"llm.internal:4000": "litellm"})
    made.instrument()
    yield made
    made.shutdown()
    assert not made.faults


def priced(meter: TokenMeter, url: str, usage: Json, model: str, **headers: str) -> Json:
    """Meter one answer, and return its event as the backend has it: priced."""
    body = json.dumps(chat(usage, model=model)).encode()
    return sent(meter, url, Answer(200, {**JSON, **headers}, [body]), ASK)


def sent(meter: TokenMeter, url: str, answer: Answer, asked: Json) -> Json:
    with Player([answer]).client() as client:
        client.post(url, json=asked)
    assert meter.flush(30)
    (event,) = meter.backend.events
    return dict(event.properties)


def test_xais_ticks_are_its_charge_and_the_computed_cost_stands_beside_it(
    meter: TokenMeter,
) -> None:
    usage = chat_usage(1_000, 100, cost_in_usd_ticks=45_000_000)
    found = priced(meter, XAI, usage, "grok-4-0709")
    assert (found["cost_source"], found["cost_usd"]) == ("reported", "0.0045")
    assert found["reported_cost_usd"] == "0.0045"
    assert found["computed_cost_usd"] == "0.0045"
    assert "cost_drift" not in found


@pytest.mark.parametrize(
    ("cost", "drifts"), [("0.004725", None), ("0.00472501", "1.0500"), ("0.009", "2.0000")]
)
def test_a_difference_above_the_threshold_is_flagged_on_the_event(
    meter: TokenMeter, cost: str, drifts: str | None
) -> None:
    assert Decimal("0.05") == DRIFT_MAX
    ticks = int(Decimal(cost) * 10**10)
    found = priced(meter, XAI, chat_usage(1_000, 100, cost_in_usd_ticks=ticks), "grok-4-0709")
    assert (found["cost_usd"], found.get("cost_drift")) == (cost, drifts)


@pytest.mark.parametrize(("byok", "charged"), [(False, "0.01"), (True, "0.16")])
def test_openrouters_charge_holds_the_upstream_bill_unless_the_key_is_the_users(
    meter: TokenMeter, byok: bool, charged: str
) -> None:
    details = {"upstream_inference_cost": 0.15}
    usage = chat_usage(1_000, 100, cost=0.01, is_byok=byok, cost_details=details)
    found = priced(meter, ROUTER, usage, "openai/gpt-4o")
    assert (found["provider"], found["cost_source"]) == ("openrouter", "reported")
    assert found["cost_usd"] == charged


def test_perplexitys_charge_comes_with_the_last_chunk_of_a_stream(meter: TokenMeter) -> None:
    def chunk(total: float, finish: str | None) -> Json:
        choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": finish}
        usage = chat_usage(8, 5, cost={"total_cost": total})
        kind = "chat.completion.done" if finish else "chat.completion.chunk"
        return {"id": "p", "object": kind, "model": "sonar", "choices": [choice], "usage": usage}

    answer = Answer(200, dict(SSE), sse(chunk(0, None), chunk(0.00501, "stop")))
    found = sent(meter, PERPLEXITY, answer, {**ASK, "stream": True})
    assert (found["cost_source"], found["cost_usd"]) == ("reported", "0.00501")


@pytest.mark.parametrize("written", ["0.0000305", "3.05e-05"])
def test_a_gateways_cost_header_is_its_charge(meter: TokenMeter, written: str) -> None:
    found = priced(meter, PROXY, chat_usage(9, 2), "gpt-4o", **{HEADER: written})
    assert (found["provider"], found["cost_source"]) == ("litellm", "reported")
    assert found["cost_usd"] == "0.0000305"


@pytest.mark.parametrize("written", ["None", "-1", "NaN", "inf", "1e400", "", "free"])
def test_a_header_that_states_no_amount_is_no_charge(meter: TokenMeter, written: str) -> None:
    found = priced(meter, PROXY, chat_usage(9, 2), "gpt-4o", **{HEADER: written})
    assert found["cost_source"] == "unpriced"


def test_a_header_before_a_stream_states_no_charge(meter: TokenMeter) -> None:
    end = {"id": "c", "model": "m", "choices": [], "usage": chat_usage(9, 2)}
    answer = Answer(200, {**SSE, HEADER: "0.0"}, sse(end, done=True))
    options: Any = {"include_usage": True}
    found = sent(meter, PROXY, answer, {**ASK, "stream": True, "stream_options": options})
    assert found["input_tokens"] == 9
    assert found["cost_source"] == "unpriced"


def test_a_header_of_a_host_that_is_not_known_to_state_it_is_no_charge(
    meter: TokenMeter,
) -> None:
    url = "http://elsewhere.test/v1/chat/completions"
    found = priced(meter, url, chat_usage(9, 2), "gpt-4o", **{HEADER: "5"})
    assert found["cost_source"] == "unpriced"


def test_openrouters_charge_for_a_message_to_claude_is_kept(meter: TokenMeter) -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}
    charged = {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.15}}
    body = {"id": "gen-1", "type": "message", "model": "claude-sonnet-4-5", "content": []}
    answer = Answer(200, dict(JSON), [json.dumps({**body, "usage": usage | charged}).encode()])
    found = sent(meter, MESSAGES, answer, ASK)
    assert (found["cost_source"], found["cost_usd"]) == ("reported", "0.16")
    assert (found["input_tokens"], found.get("flags")) == (100, None)


def test_the_charge_for_a_stream_of_claudes_comes_with_its_last_usage(meter: TokenMeter) -> None:
    begun = {"id": "gen-1", "type": "message", "model": "claude-x", "content": []}
    events: list[Json] = [
        {"type": "message_start", "message": {**begun, "usage": {"input_tokens": 9, "cost": 0}}},
        {"type": "message_delta", "usage": {"output_tokens": 5, "cost": 0.02}},
        {"type": "message_stop"},
    ]
    found = sent(meter, MESSAGES, Answer(200, dict(SSE), sse(*events)), {**ASK, "stream": True})
    assert (found["cost_source"], found["cost_usd"]) == ("reported", "0.02")
