"""Agents that run at the provider: their sessions' events, read by the user, are metered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tokenmeter import Event, TokenMeter
from tokenmeter.providers import anthropic_sessions, openai_agents, openai_realtime
from tokenmeter.providers.sessions import Heard, Session
from tokenmeter.usage import Usage

Json = dict[str, Any]
AT = "2026-11-30T10:00:00Z"


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()
    assert not made.faults


def kept(meter: TokenMeter) -> list[Event]:
    assert meter.flush(30)
    events: list[Event] = meter.backend.events
    return events


def request_end(name: str = "sevt_1", **more: Any) -> Json:
    usage = {
        "input_tokens": 12,
        "cache_read_input_tokens": 3_000,
        "cache_creation_input_tokens": 500,
        "output_tokens": 80,
    }
    return {
        "type": "span.model_request_end",
        "id": name,
        "model_request_start_id": f"{name}_start",
        "processed_at": AT,
        "model_usage": usage,
        **more,
    }


def tool_use(name: str, tool: str, **more: Any) -> Json:
    return {
        "type": "agent.tool_use",
        "id": name,
        "name": tool,
        "input": {"query": "my secret plan"},
        "processed_at": AT,
        **more,
    }


def turn(name: str, status: str = "completed", **more: Any) -> Json:
    return {
        "id": name,
        "agent_id": "agent_1",
        "object": "agent.session.turn",
        "session_id": "sess_1",
        "status": status,
        "created_at": 1793491200,
        "completed_at": 1793491260,
        "usage": {
            "input_tokens": 900,
            "input_tokens_details": {"cached_tokens": 600},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 950,
        },
        **more,
    }


def turn_event(name: str, status: str = "completed", **more: Any) -> Json:
    return {
        "type": f"agent.session.turn.{status}",
        "event_id": f"{name}_event",
        "session_id": "sess_1",
        "turn_id": name,
        "turn": turn(name, status, **more),
    }


AGENT: Json = {"id": "agent_1", "model": "gpt-5.4-mini", "service_tier": "flex"}
SESSION: Json = {"id": "sess_1", "object": "agent.session", "agent": AGENT}
CLAUDES: Json = {"id": "sesn_1", "type": "session", "agent": {"model": {"id": "claude-sonnet-5"}}}


def hear(payload: Json, session: Session | None = None) -> Heard:
    heard = anthropic_sessions.read_event(payload, session or Session("sesn_1", "m"), "anthropic")
    assert heard.reading.raw == {}
    return heard


def sse(*events: Json) -> bytes:
    return b"".join(
        f"event: {e.get('type', 'message')}\ndata: {json.dumps(e)}\n\n".encode() for e in events
    )


def answering(*events: Json) -> httpx2.Client:
    """A provider that answers every request with these events."""
    headers = {"content-type": "text/event-stream"}
    return httpx2.Client(
        transport=httpx2.MockTransport(
            lambda _: httpx2.Response(200, headers=headers, content=sse(*events))
        )
    )


def test_each_call_of_claudes_agent_is_an_event_by_the_real_sdks_stream(meter: TokenMeter) -> None:
    sent = (request_end("sevt_1"), tool_use("sevt_2", "web_search"), request_end("sevt_3"))
    client = anthropic.Anthropic(api_key="k", http_client=answering(*sent))
    meter.read_event("anthropic", CLAUDES)
    with meter.attribute(customer="acme", feature="research"):
        for _ in range(2):  # a stream that is opened again tells the same events
            for event in client.beta.sessions.events.stream("sesn_1"):
                meter.read_event("anthropic", event, session="sesn_1")
    first, search, second = kept(meter)
    assert {e.external_customer_id for e in (first, search, second)} == {"acme"}
    assert first.event_id != second.event_id
    assert (first.usage.input_tokens, first.usage.output_tokens) == (3_512, 80)
    assert (first.usage.cache_read_tokens, first.usage.cache_write_tokens) == (3_000, 500)
    assert (first.properties["model"], first.properties["operation"]) == (
        "claude-sonnet-5",
        "sessions",
    )
    assert first.timestamp.isoformat() == "2026-11-30T10:00:00+00:00"
    assert Decimal(str(first.properties["cost_usd"])) > 0
    assert search.usage.web_search_count == 1
    assert Decimal(str(search.properties["cost_usd"])) == Decimal("0.01")
    assert "secret" not in repr(kept(meter))


def test_each_turn_of_openais_agent_is_an_event_by_the_real_sdks_stream(meter: TokenMeter) -> None:
    sent = (
        {"type": "agent.session.created", "event_id": "e0", "session": SESSION},
        turn_event("turn_1"),
        turn_event("turn_2", "failed", error={"code": "server_overloaded", "message": "secret"}),
        turn_event("turn_3", "cancelled"),
    )
    client: Any = openai.OpenAI(api_key="k", http_client=answering(*sent))
    with meter.attribute(customer="acme"):
        for _ in range(2):
            for event in client.beta.agents.sessions.events.stream("sess_1"):
                meter.read_event("openai", event)
    done, failed, cancelled = kept(meter)
    assert [e.properties["outcome"] for e in kept(meter)] == ["success", "failed", "cancelled"]
    assert (done.usage.input_tokens, done.usage.cache_read_tokens) == (900, 600)
    assert (done.usage.output_tokens, done.usage.reasoning_tokens) == (50, 20)
    assert (done.properties["model"], done.properties["service_tier"]) == ("gpt-5.4-mini", "flex")
    assert failed.properties["error_type"] == "server_overloaded"
    assert failed.usage == cancelled.usage == done.usage
    assert "secret" not in repr(kept(meter))


def test_a_call_that_failed_is_failed_and_keeps_its_usage() -> None:
    reading = hear(request_end(is_error=True)).reading
    assert (reading.state, reading.usage.output_tokens) == ("failed", 80)


def test_a_grader_whose_model_no_event_names_is_flagged() -> None:
    usage = request_end()["model_usage"]
    heard = hear({"type": "span.outcome_evaluation_end", "id": "sevt_9", "usage": usage})
    assert heard.call is not None
    assert (heard.call.api.operation, heard.call.request_model) == ("sessions.outcome", None)
    assert "model_unknown" in heard.reading.flags
    assert heard.reading.usage.input_tokens == 3_512


@pytest.mark.parametrize(
    "event",
    [
        tool_use("sevt_2", "bash"),
        tool_use("sevt_2", "web_search", evaluated_permission="deny"),
        {"type": "agent.message", "id": "sevt_4", "content": []},
        {"type": "session.usage", "id": "sevt_5", "usage": {"input_tokens": 9}},  # a sum so far
        {"id": "sevt_6"},
    ],
)
def test_what_costs_nothing_of_its_own_is_no_event(event: Json) -> None:
    assert hear(event).call is None


@pytest.mark.parametrize(
    "junk", [None, 7, "many", [], {"input_tokens": -1}, {"input_tokens": "9"}]
)
def test_usage_that_cannot_be_read_is_missing_and_never_zero(junk: Any) -> None:
    heard = hear(request_end(model_usage=junk))
    assert heard.call is not None
    assert heard.reading.usage == Usage()
    event = turn_event("turn_1", usage=junk)
    assert openai_realtime.read_event(event, Session("sess_1", "m"), "openai").reading.usage == (
        Usage()
    )


@pytest.mark.parametrize("status", ["queued", "in_progress", "waiting", None, 5, []])
def test_a_turn_that_goes_on_is_no_event(status: Any) -> None:
    listed = turn("turn_1", status)
    assert openai_realtime.read_event(listed, Session("sess_1", "m"), "openai").call is None


def test_a_listed_turn_is_the_one_that_was_streamed(meter: TokenMeter) -> None:
    meter.read_event("openai", SESSION)
    streamed = meter.read_event("openai", turn_event("turn_1"))
    assert meter.read_event("openai", turn("turn_1")) is None
    other = TokenMeter("memory:")  # another process, which lists the turns
    other.read_event("openai", SESSION)
    listed = other.read_event("openai", turn("turn_1"))
    other.shutdown()
    assert streamed is not None
    assert listed is not None
    assert (listed.event_id, listed.usage) == (streamed.event_id, streamed.usage)


def test_an_agent_without_a_known_model_is_flagged_and_can_be_named(meter: TokenMeter) -> None:
    unnamed = meter.read_event("anthropic", request_end("sevt_7"), session="sesn_9")
    named = meter.read_event(
        "anthropic", request_end("sevt_8"), session="sesn_9", model="claude-sonnet-5"
    )
    assert unnamed is not None
    assert named is not None
    assert "model_unknown" in str(unnamed.properties["flags"])
    assert "model" not in unnamed.properties
    assert named.properties["model"] == "claude-sonnet-5"
    heard = openai_realtime.read_event(turn("turn_1"), Session(), "openai")
    assert "model_unknown" in heard.reading.flags


def test_a_tier_that_says_nothing_changes_none() -> None:
    for tier, kept_tier in (("auto", "flex"), (None, "flex"), ("priority", "priority")):
        stated = {**SESSION, "agent": {**AGENT, "service_tier": tier}}
        before = Session("sess_1", "m", service_tier="flex")
        heard = openai_agents.read_session(stated, before, "openai")
        assert heard.session.service_tier == kept_tier


def ran(name: str, seconds: Any) -> Json:
    usage = {"active_seconds": seconds, "input_tokens": 12, "output_tokens": 80}
    return {"type": "session.usage", "id": name, "processed_at": AT, "usage": usage}


def agent_session(**usage: Any) -> Json:
    return {"type": "session", "id": "sesn_9", "agent": {"model": {"id": "m"}}, "usage": usage}


def test_the_time_that_a_session_ran_counts_by_what_is_new(meter: TokenMeter) -> None:
    meter.read_event("anthropic", agent_session())
    for name, seconds in (("u1", 40.5), ("u2", 40.5), ("u3", 100), ("u1", 40.5), ("u4", 90)):
        meter.read_event("anthropic", ran(name, seconds), session="sesn_9")
    events = kept(meter)
    assert [event.usage["time_seconds"] for event in events] == [Decimal("40.5"), Decimal("59.5")]
    first = events[0]
    assert (first.event_name, first.properties["operation"]) == ("api_calls", "sessions.runtime")
    assert first.properties["cost_source"] == "unpriced"
    assert "time of a session" in str(first.properties["unpriced_reason"])
    assert "input_tokens" not in first.usage  # each call of the model has told its own


def test_what_a_session_ran_before_it_was_handed_in_is_not_counted_again(
    meter: TokenMeter,
) -> None:
    meter.read_event("anthropic", agent_session(active_seconds=100))
    meter.read_event("anthropic", ran("u5", 130), session="sesn_9")
    assert [event.usage["time_seconds"] for event in kept(meter)] == [30]


def test_a_session_that_was_not_handed_in_counts_from_its_first_word_on(meter: TokenMeter) -> None:
    for name, seconds in (("u1", 500), ("u2", 510), ("u3", "junk"), ("u4", None)):
        meter.read_event("anthropic", ran(name, seconds), session="sesn_1")
    assert [event.usage["time_seconds"] for event in kept(meter)] == [10]
