"""Gemini Live: each message that reports usage is a turn of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tokenmeter.providers import google_live
from tokenmeter.providers.sessions import Heard, Session
from tokenmeter.usage import Usage

Json = dict[str, Any]


def hear_live(payload: Json, session: Session | None = None) -> Heard:
    return google_live.read_event(payload, session or Session(None, "gemini-live"), "google")


METADATA = {
    "promptTokenCount": 17,
    "responseTokenCount": 5,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 25,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
    "trafficType": "ON_DEMAND",
}


def test_every_turn_of_gemini_live_is_billed_with_its_whole_prompt() -> None:
    session = Session(None, "gemini-3.1-flash-live")
    turns = [
        {"serverContent": {"turnComplete": True}, "usageMetadata": METADATA},
        {"toolCall": {"functionCalls": []}, "usageMetadata": {**METADATA, "promptTokenCount": 60}},
    ]
    heard = [hear_live(turn, session) for turn in turns]
    assert [h.reading.usage.input_tokens for h in heard] == [17, 60]
    first = heard[0].reading
    assert (first.usage.output_tokens, first.usage.reasoning_tokens) == (8, 3)
    assert (first.usage.input_audio_tokens, first.usage.output_audio_tokens) == (12, 5)
    assert (first.dimensions, set(first.flags)) == ({"service_tier": "on_demand"}, set())
    assert heard[0].call is not None
    assert heard[0].call.request_model == "gemini-3.1-flash-live"


def test_the_clients_setup_names_the_model_of_gemini_live() -> None:
    setup = {"setup": {"model": "models/gemini-3.1-flash-live-preview"}}
    heard = hear_live(setup, Session())
    assert (heard.session.model, heard.call) == ("gemini-3.1-flash-live-preview", None)
    assert google_live.begins_session(setup)
    named = hear_live({"setupComplete": {"sessionId": "s1"}}, heard.session)
    assert named.session == Session("s1", "gemini-3.1-flash-live-preview")
    assert {"model_unknown"} <= hear_live({"usageMetadata": METADATA}, Session()).reading.flags


@pytest.mark.parametrize("metadata", [None, {}, {"trafficType": "ON_DEMAND"}])
def test_a_message_without_counts_is_not_a_turn(metadata: Any) -> None:
    assert hear_live({"serverContent": {}, "usageMetadata": metadata}).call is None


def test_usage_that_cannot_be_read_is_kept_and_flagged() -> None:
    heard = hear_live({"usageMetadata": {"promptTokenCount": "many"}})
    assert heard.call is not None
    assert (heard.reading.usage, set(heard.reading.flags)) == (
        Usage(),
        {"invalid:promptTokenCount"},
    )
