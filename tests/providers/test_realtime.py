"""Realtime events: what each says of usage, and what a session's events add up to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.junk import check, counted, spoiled
from tests.providers.test_google_live import METADATA
from tokenmeter.providers import google_live, openai_realtime
from tokenmeter.providers.sessions import Heard, Session
from tokenmeter.usage import Usage

Json = dict[str, Any]
KNOWN = Session("sess_1", "gpt-realtime", "gpt-4o-mini-transcribe")


def hear(payload: Json, session: Session = KNOWN) -> Heard:
    return openai_realtime.read_event(payload, session, "openai")


def done(status: str = "completed", **more: Any) -> Json:
    usage = {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119,
            "audio_tokens": 13,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    response = {"id": "resp_1", "status": status, "usage": usage, **more}
    return {"type": "response.done", "event_id": "event_1", "response": response}


def seconds(total: Any, kind: str = "session.usage.updated", **more: Any) -> Json:
    return {"type": kind, "usage": {"seconds": total}, **more}


TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


def transcript(usage: Any) -> Json:
    return {"type": TRANSCRIBED, "item_id": "item_1", "content_index": 0, "usage": usage}


def test_each_answer_has_a_usage_of_its_own() -> None:
    heard = hear(done())
    assert heard.call is not None
    assert (heard.call.request_model, heard.call.api.operation) == ("gpt-realtime", "realtime")
    assert dict(heard.reading.usage) == {
        "input_tokens": 132,
        "output_tokens": 121,
        "total_tokens": 253,
        "uncached_input_tokens": 68,
        "cache_read_tokens": 64,
        "cache_read_text_tokens": 60,
        "cache_read_audio_tokens": 4,
        "input_text_tokens": 119,
        "input_audio_tokens": 13,
        "output_text_tokens": 30,
        "output_audio_tokens": 91,
    }
    assert (heard.reading.response_id, set(heard.reading.flags)) == ("resp_1", set())


@pytest.mark.parametrize(
    ("status", "state", "cancelled"),
    [
        ("completed", "success", False),
        ("incomplete", "success", False),
        ("cancelled", "success", True),
        ("failed", "failed", False),
    ],
)
def test_an_answer_that_was_cut_short_still_counts(
    status: str, state: str, *, cancelled: bool
) -> None:
    heard = hear(done(status, status_details={"error": {"code": "server_error"}}))
    assert (heard.reading.state, heard.cancelled) == (state, cancelled)
    assert heard.reading.usage.input_tokens == 132
    assert heard.reading.error_type == ("server_error" if state == "failed" else None)


def test_an_answer_that_failed_without_a_word_is_failed() -> None:
    assert hear(done("failed")).reading.error_type == "failed"


def test_trap_09_what_is_transcribed_is_billed_to_the_model_that_transcribes() -> None:
    tokens = {
        "type": "tokens",
        "input_tokens": 20,
        "output_tokens": 6,
        "total_tokens": 26,
        "input_token_details": {"audio_tokens": 20, "text_tokens": 0},
    }
    heard = hear(transcript(tokens))
    assert heard.call is not None
    assert (heard.call.request_model, heard.call.api.event_name) == (
        "gpt-4o-mini-transcribe",
        "audio_transcribed",
    )
    assert (heard.reading.usage.input_audio_tokens, heard.reading.usage.output_tokens) == (20, 6)
    assert heard.reading.response_id == "item_1/0"


def test_trap_09_a_transcript_may_be_billed_by_its_length() -> None:
    heard = hear(transcript({"type": "duration", "seconds": 4.2}))
    assert heard.reading.usage == Usage(audio_seconds=Decimal("4.2"))


def test_trap_08_the_seconds_of_a_session_are_never_summed() -> None:
    session, billed = KNOWN, Decimal(0)
    events = [seconds(10), seconds(25.5), seconds(25.5), seconds(40), seconds(40)]
    final = seconds(41, "session.closed", session={"id": "sess_1", "model": "gpt-live-1"})
    ids: list[str | None] = []
    for event in (*events, final):
        heard = hear(event, session)
        session = heard.session
        billed += Decimal(heard.reading.usage.get("audio_seconds", 0))
        ids += [heard.reading.response_id] if heard.call else []
    assert billed == 41
    assert ids == ["sess_1/10", "sess_1/25.5", "sess_1/40", "sess_1/41"]


def test_trap_08_a_smaller_number_is_another_session_only_where_none_is_named() -> None:
    assert hear(seconds(5), Session("sess_1", seconds=10)).call is None
    heard = hear(seconds(5), Session(None, seconds=10))
    assert heard.reading.usage == Usage(audio_seconds=5)
    assert {"session_unknown"} <= heard.reading.flags


@pytest.mark.parametrize("junk", [None, -1, "long", True, float("nan"), [], 1e300])
def test_seconds_that_are_no_length_are_not_billed(junk: Any) -> None:
    assert hear(seconds(junk)).call is None
    assert hear({"type": "session.usage.updated", "usage": junk}).call is None


def test_a_session_that_closes_without_usage_bills_nothing() -> None:
    heard = hear({"type": "session.closed", "event_id": "event_9"})
    assert (heard.call, heard.closed) == (None, True)


@pytest.mark.parametrize(
    ("event", "model", "transcriber"),
    [
        (
            {
                "type": "session.created",
                "session": {
                    "id": "sess_2",
                    "model": "gpt-realtime-mini",
                    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                },
            },
            "gpt-realtime-mini",
            "whisper-1",
        ),
        (
            {
                "type": "transcription_session.updated",
                "session": {"input_audio_transcription": {"model": "gpt-4o-transcribe"}},
            },
            "gpt-realtime",
            "gpt-4o-transcribe",
        ),
        ({"type": "session.updated"}, "gpt-realtime", "gpt-4o-mini-transcribe"),
    ],
)
def test_a_session_says_which_models_it_uses(event: Json, model: str, transcriber: str) -> None:
    heard = hear(event)
    assert (heard.session.model, heard.session.transcriber) == (model, transcriber)
    assert heard.call is None
    assert openai_realtime.begins_session(event) is (event["type"] == "session.created")


def test_work_that_a_live_session_hands_on_is_billed_as_what_it_is() -> None:
    response = {
        "id": "resp_0123456789abcdef01234567",
        "model": "gpt-5.6",
        "status": "completed",
        "usage": {"input_tokens": 12, "output_tokens": 34, "total_tokens": 46},
        "tool_usage": {"image_gen": {"input_tokens": 5, "output_tokens": 6}},
    }
    nested = {"type": "response.completed", "response": response}
    heard = hear({"type": "response.event", "delegation_id": "d", "event": nested})
    assert heard.call is not None
    assert (heard.call.api.operation, heard.reading.model) == ("responses", "gpt-5.6")
    assert heard.reading.usage.total_tokens == 46
    assert [part.name for part in heard.reading.parts] == ["image_gen"]
    begun = {**nested, "type": "response.created", "response": {**response, "status": "queued"}}
    assert hear({"type": "response.event", "event": begun}).call is None


def test_a_decision_of_a_live_session_is_billed_under_its_own_model() -> None:
    usage = {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}
    decision = {"id": "dec_1", "model": "gpt-decide-1", "usage": usage}
    heard = hear({"type": "decision.event", "event": {"decision": decision}})
    assert heard.call is not None
    assert (heard.reading.model, heard.reading.usage.total_tokens) == ("gpt-decide-1", 15)
    assert hear({"type": "decision.event"}).call is None


def test_an_answer_of_a_session_that_is_not_known_says_so() -> None:
    heard = hear(done(), Session())
    assert {"model_unknown"} <= heard.reading.flags


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": None},
        {"type": ["response.done"]},
        {"type": "response.output_audio.delta", "delta": "aGk="},
        {"type": "rate_limits.updated"},
    ],
)
def test_most_events_say_nothing_of_usage(event: Json) -> None:
    assert hear(event) == Heard(KNOWN)


EVENTS: list[Json] = [
    done(),
    transcript({"type": "tokens", "input_tokens": 20, "output_tokens": 6, "total_tokens": 26}),
    seconds(40, "session.closed", session={"id": "sess_1", "model": "gpt-live-1"}),
    {
        "type": "response.event",
        "event": {
            "type": "response.completed",
            "response": {
                "status": "completed",
                "usage": {"input_tokens": 12, "output_tokens": 34, "total_tokens": 46},
            },
        },
    },
    {"type": "decision.event", "event": {"decision": {"usage": {"input_tokens": 12}}}},
    {"type": "session.created", "session": {"id": "s", "model": "m", "audio": {"input": {}}}},
    {"usageMetadata": METADATA},
    {"setup": {"model": "models/m"}, "setupComplete": {"sessionId": "s"}},
]
TOTALS_IN_ALL = 3


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_an_event_is_survived(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(EVENTS))
    (spoilt,) = data.draw(spoiled([event]))
    for heard in (hear(spoilt), google_live.read_event(spoilt, KNOWN, "google")):
        check(heard.reading, TOTALS_IN_ALL * counted(event))
        names = (heard.session.session_id, heard.session.model, heard.session.transcriber)
        assert all(name is None or 0 < len(name) <= 300 for name in names)
