"""Realtime sessions in a meter: events, whose they are, and sessions that are never mixed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from google.genai import types
from openai.types.realtime import ResponseDoneEvent

from tests.providers.test_google_live import METADATA
from tests.providers.test_realtime import TRANSCRIBED, done, seconds, transcript
from tokenmeter import ConfigurationError, Event, TokenMeter
from tokenmeter.realtime import SESSIONS_MAX, Sessions, read_event

Json = dict[str, Any]


class Meter(TokenMeter):
    """A meter that remembers sessions."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self.sessions = Sessions()

    def read(self, payload: object, provider: str = "openai", **named: str) -> Event | None:
        return read_event(self, provider, payload, **named)

    def kept(self) -> list[Event]:
        assert self.flush(30)
        events: list[Event] = self.backend.events
        return events


@pytest.fixture
def meter() -> Iterator[Meter]:
    found = Meter()
    yield found
    found.shutdown()


def created(name: str, model: str, kind: str = "session.created") -> Json:
    listener = {"transcription": {"model": f"{model}-transcribe"}}
    return {"type": kind, "session": {"id": name, "model": model, "audio": {"input": listener}}}


def answered(number: int) -> Json:
    return done(id=f"resp_{number}")


def models(events: list[Event]) -> list[Any]:
    return [event.properties.get("model") for event in events]


def test_an_answer_becomes_an_event_of_whoever_the_session_is_for(meter: Meter) -> None:
    with meter.run("req-1") as run, meter.attribute(customer="acme", feature="voice"):
        assert meter.read(created("sess_1", "gpt-realtime")) is None
        event = meter.read(answered(1))
    assert event is not None
    assert meter.kept()[0].event_id == event.event_id
    assert [kept.event_id for kept in run.events] == [event.event_id]
    assert (event.external_customer_id, event.properties["feature"]) == ("acme", "voice")
    wanted = {
        "provider": "openai",
        "model": "gpt-realtime",
        "operation": "realtime",
        "run_id": "req-1",
        "outcome": "success",
        "usage_source": "reported",
        "billable": "true",
        "input_tokens": 132,
        "request_count": 1,
    }
    assert wanted.items() <= event.properties.items()


def test_trap_09_a_transcript_is_an_event_of_another_model(meter: Meter) -> None:
    meter.read(created("sess_1", "gpt-realtime"))
    meter.read(transcript({"type": "duration", "seconds": 4.2}))
    meter.read(answered(1))
    assert models(meter.kept()) == ["gpt-realtime-transcribe", "gpt-realtime"]


def test_trap_08_the_events_of_a_live_session_add_up_to_its_seconds(meter: Meter) -> None:
    meter.read(created("live_1", "gpt-live-1", "session.started"))
    for total in (10, 25.5, 25.5, 40):
        meter.read(seconds(total))
    meter.read({**seconds(41), **created("live_1", "gpt-live-1", "session.closed")})
    lengths = [Decimal(event.properties["audio_seconds"]) for event in meter.kept()]
    assert sum(lengths) == 41
    assert set(models(meter.kept())) == {"gpt-live-1"}


def test_one_answer_seen_twice_is_one_event(meter: Meter) -> None:
    first, again = meter.read(answered(1)), meter.read(answered(1))
    assert first is not None
    assert (again, len(meter.kept())) == (None, 1)


def test_an_answer_has_the_same_id_in_every_process(meter: Meter) -> None:
    other = Meter()
    sights = [m.read(answered(1)) for m in (meter, other)]
    other.shutdown()
    assert len({event.event_id for event in sights if event}) == 1


async def test_sessions_in_tasks_of_their_own_are_never_mixed(meter: Meter) -> None:
    async def session(number: int) -> None:
        with meter.attribute(customer=f"cust_{number}"):
            meter.read(created(f"sess_{number}", f"gpt-realtime-{number}"))
            for turn in range(3):
                await asyncio.sleep(0)
                meter.read(answered(10 * number + turn))

    await asyncio.gather(*(session(number) for number in range(1, 9)))
    pairs = {(e.external_customer_id, e.properties["model"]) for e in meter.kept()}
    assert pairs == {(f"cust_{n}", f"gpt-realtime-{n}") for n in range(1, 9)}
    assert len(meter.kept()) == 24


def test_sessions_in_threads_of_their_own_are_never_mixed(meter: Meter) -> None:
    def session(number: int) -> None:
        meter.read({"setup": {"model": f"models/gemini-{number}-live"}}, "google")
        for _ in range(3):
            meter.read({"usageMetadata": METADATA}, "google")

    threads = [threading.Thread(target=session, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(models(meter.kept())) == [f"gemini-{n}-live" for n in range(4) for _ in range(3)]


def test_sessions_that_are_read_in_one_task_are_told_apart_by_name(meter: Meter) -> None:
    for name in ("a", "b"):
        meter.read(created(f"sess_{name}", f"gpt-{name}"), session=name)
    meter.read(answered(1), session="a")
    meter.read(answered(2), session="b")
    meter.read(answered(3), session="a")
    assert models(meter.kept()) == ["gpt-a", "gpt-b", "gpt-a"]


def test_a_task_for_every_event_finds_the_only_session_there_is(meter: Meter) -> None:
    def in_a_context_of_its_own(payload: Json) -> None:
        thread = threading.Thread(target=meter.read, args=(payload,))
        thread.start()
        thread.join()

    in_a_context_of_its_own(created("sess_1", "gpt-realtime"))
    in_a_context_of_its_own(answered(1))
    in_a_context_of_its_own(created("sess_2", "gpt-realtime-2"))
    in_a_context_of_its_own(answered(2))
    first, second = meter.kept()
    assert first.properties["model"] == "gpt-realtime"
    assert "model" not in second.properties
    assert second.properties["flags"] == "model_unknown"


def test_a_session_that_is_named_late_keeps_what_was_known(meter: Meter) -> None:
    meter.read({"setup": {"model": "models/gemini-live"}}, "google-vertex")
    meter.read({"setupComplete": {"sessionId": "s1"}}, "google-vertex")
    event = meter.read({"usageMetadata": METADATA}, "google-vertex")
    assert event is not None
    assert (event.properties["model"], event.properties["provider"]) == (
        "gemini-live",
        "google-vertex",
    )


def test_a_named_session_takes_nothing_from_another(meter: Meter) -> None:
    meter.read(created("live_1", "gpt-live-1", "session.started"))
    meter.read(seconds(30))
    closed = meter.read({**seconds(8), **created("live_2", "gpt-live-1", "session.closed")})
    assert closed is not None
    assert closed.properties["audio_seconds"] == 8


def test_the_model_can_be_told_where_no_event_does(meter: Meter) -> None:
    event = meter.read({"usageMetadata": METADATA}, "google", model="gemini-live")
    assert event is not None
    assert (event.properties["model"], "flags" in event.properties) == ("gemini-live", False)


@pytest.mark.parametrize(
    ("status", "outcome", "billable"),
    [("cancelled", "cancelled", "true"), ("failed", "failed", "false")],
)
def test_an_answer_that_did_not_end_well_says_how(
    meter: Meter, status: str, outcome: str, billable: str
) -> None:
    event = meter.read(done(status))
    assert event is not None
    assert (event.properties["outcome"], event.properties["billable"]) == (outcome, billable)
    assert event.properties["input_tokens"] == 132
    assert event.properties.get("error_type") == ("failed" if outcome == "failed" else None)


def test_an_answer_without_usage_is_kept_and_says_so(meter: Meter) -> None:
    event = meter.read(done(usage=None))
    assert event is not None
    assert event.properties["usage_source"] == "missing"
    assert "input_tokens" not in event.properties


@pytest.mark.parametrize("form", ["text", "bytes", "dict", "sdk"])
def test_an_event_is_read_in_whatever_form_it_comes(meter: Meter, form: str) -> None:
    payload = done()
    forms: dict[str, object] = {
        "text": json.dumps(payload),
        "bytes": json.dumps(payload).encode(),
        "dict": payload,
        "sdk": ResponseDoneEvent.construct(**payload),
    }
    event = meter.read(forms[form])
    assert event is not None
    assert event.properties["cache_read_audio_tokens"] == 4


def test_a_message_of_googles_sdk_is_read(meter: Meter) -> None:
    counts = types.UsageMetadata(prompt_token_count=17, response_token_count=5)
    event = meter.read(types.LiveServerMessage(usage_metadata=counts), "google", model="m")
    assert event is not None
    assert (event.properties["input_tokens"], event.properties["output_tokens"]) == (17, 5)


@pytest.mark.parametrize(
    "payload",
    [None, 7, "", "{", "[]", b"\xff", "[" * 100_000, {}, [], {"type": TRANSCRIBED[:9]}, object()],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_event_of_a_session_is_passed_over(meter: Meter, payload: object) -> None:
    assert meter.read(payload) is None
    assert meter.health()["faults"] == 0


def test_a_text_too_long_for_an_event_is_not_read(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenmeter.realtime.PAYLOAD_BYTES_MAX", 100)
    assert meter.read(json.dumps(done())) is None


def test_a_fault_of_ours_does_not_reach_the_users_session(meter: Meter) -> None:
    class Broken:
        def model_dump(self, **_: Any) -> Json:
            raise RuntimeError("broken")

    assert meter.read(Broken()) is None
    assert meter.health()["faults"] == 1


def test_a_provider_without_realtime_events_is_a_mistake(meter: Meter) -> None:
    with pytest.raises(ConfigurationError, match="no events of sessions are known of 'kling'"):
        meter.read(done(), "kling")


def test_a_decorated_function_that_reads_events_is_metered_by_them(meter: Meter) -> None:
    @meter.metered(customer="acme")
    def converse() -> str:
        meter.read(answered(1))
        return "done"

    converse()
    (event,) = meter.kept()
    assert (event.external_customer_id, event.event_name) == ("acme", "text_generated")


def test_sessions_are_forgotten_beyond_a_limit(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SESSIONS_MAX > 2
    monkeypatch.setattr("tokenmeter.realtime.SESSIONS_MAX", 2)
    monkeypatch.setattr("tokenmeter.realtime.IDS_MAX", 1)
    for number in range(3):
        meter.read(created(f"sess_{number}", f"gpt-{number}"), session=str(number))
    found = [meter.read(answered(n), session=str(n)) for n in (0, 2)]
    assert models([event for event in found if event]) == [None, "gpt-2"]
    assert meter.read(answered(0)) is not None  # whose id has been forgotten
