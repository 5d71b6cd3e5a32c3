"""What is recorded by hand, and the shapes and names in which events are written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

import tokenmeter
from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_openai_lifecycle import events_of, only
from tokenmeter import ConfigurationError, Event, Observation, Policy, TokenMeter

WHEN = datetime(2026, 11, 21, 10, tzinfo=UTC)


def chat(meter: TokenMeter, model: str = "gpt-4-0613", **options: Any) -> None:
    http = Player([wire.chat(model=model)]).client()
    client = openai.OpenAI(api_key="k", http_client=http)
    with meter.attribute(customer="acme"):
        client.chat.completions.create(model="gpt-4", messages=[], **options)


def test_what_is_recorded_is_the_event_that_is_kept(meter: TokenMeter) -> None:
    event = meter.record(
        "world_generated",
        usage={"world_count": 1, "time_seconds": Decimal("2.50")},
        provider="marble",
        model="marble-1.1",
        quality="draft",
        hd=True,  # type: ignore[arg-type]
        seed=None,
        customer="acme",
        timestamp=WHEN,
        event_id="evt_mine",
    )
    assert (event.event_name, event.event_id) == ("world_generated", "evt_mine")
    assert (event.external_customer_id, event.timestamp) == ("acme", WHEN)
    found = event.properties
    assert (found["world_count"], found["time_seconds"]) == (1, Decimal("2.50"))
    wanted = {"provider": "marble", "model": "marble-1.1", "model_type": "marble-1.1"}
    wanted |= {"quality": "draft", "hd": "true", "outcome": "success", "billable": "true"}
    assert {name: found[name] for name in wanted} == wanted
    assert "seed" not in found
    kept = only(meter)
    assert {**kept.properties, **found} == kept.properties


def test_the_scope_says_whose_it_is_and_the_call_may_say_otherwise(meter: TokenMeter) -> None:
    with (
        meter.attribute(customer="acme", feature="f", environment="prod", tags={"team": "a"}),
        meter.run("req-1") as run,
    ):
        inherited = meter.record("api_calls")
        own = meter.record("api_calls", customer="bob", feature="g")
    assert (inherited.external_customer_id, own.external_customer_id) == ("acme", "bob")
    assert (inherited.properties["feature"], own.properties["feature"]) == ("f", "g")
    for event in (inherited, own):
        assert event.properties["environment"] == "prod"
        assert event.properties["tag_team"] == "a"
        assert event.properties["run_id"] == "req-1"
    assert run.events == [inherited, own]
    assert meter.record("api_calls").external_customer_id == "unattributed"


def test_the_same_event_id_counts_once(meter: TokenMeter) -> None:
    for count in (1, 2):
        meter.record("world_generated", {"world_count": count}, event_id="evt_1")
    assert only(meter).properties["world_count"] == 1


@pytest.mark.parametrize("number", [0.1, 1e-7, 2.5, 1e15, 0.30000000000000004])
def test_a_float_is_taken_as_it_is_written(meter: TokenMeter, number: Any) -> None:
    event = meter.record("gpu_time", {"time_seconds": number})
    assert event.properties["time_seconds"] == Decimal(repr(number))
    assert only(meter).properties["time_seconds"] == Decimal(repr(number))


def record(meter: TokenMeter, *given: Any, **options: Any) -> None:
    meter.record(*given, **options)


WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no name": (("",), {}, "an event needs a name"),
    "None as a name": ((None,), {}, "an event needs a name"),
    "a number as a name": ((5,), {}, "event_name must be text, not int"),
    "usage that is a list": (("x", [1]), {}, "usage must map metrics to numbers"),
    "usage that is text": (("x", "many"), {}, "usage must map metrics to numbers"),
    "unknown metric": (("x", {"pictures": 1}), {}, "'pictures' is not a metric; use one of"),
    "metric as a dimension": (("x",), {"image_count": "2"}, "image_count is a metric; pass it"),
    "text": (("x", {"image_count": "2"}), {}, "image_count must be a number, not str"),
    "True": (("x", {"image_count": True}), {}, "image_count must be a number, not bool"),
    "None": (("x", {"image_count": None}), {}, "image_count must be a number, not NoneType"),
    "negative": (("x", {"image_count": -1}), {}, "image_count must not be negative"),
    "NaN": (("x", {"image_count": float("nan")}), {}, "image_count must be finite"),
    "Decimal NaN": (("x", {"image_count": Decimal("sNaN")}), {}, "image_count must be finite"),
    "infinity": (("x", {"image_count": float("inf")}), {}, "image_count must be finite"),
    "huge": (("x", {"image_count": 10**18}), {}, "image_count must be less than"),
    "too exact": (("x", {"image_count": Decimal("1e-31")}), {}, "at most 30 decimals"),
    "naive time": (("x",), {"timestamp": datetime(2026, 1, 1)}, "timestamp needs"),  # noqa: DTZ001
    "text as a time": (("x",), {"timestamp": "2026-01-01"}, "timestamp needs a time"),
    "long ago": (("x",), {"timestamp": datetime(1969, 12, 31, tzinfo=UTC)}, "before 1970"),
    "customer": (("x",), {"customer": 42}, "customer must be text, not int"),
    "id": (("x",), {"event_id": 42}, "event_id must be text, not int"),
    "NUL": (("x",), {"customer": "a\x00"}, "a text holds a NUL"),
    "half a character": (("x",), {"feature": "\ud800"}, "half a character"),
}


@pytest.mark.parametrize(("given", "options", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_kept_is_refused_in_one_sentence(
    meter: TokenMeter, given: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        record(meter, *given, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert events_of(meter) == []


def test_bounds_are_inside(meter: TokenMeter) -> None:
    largest, smallest = 10**18 - 1, Decimal("1e-30")
    meter.record("x", {"tokens": largest, "time_seconds": smallest, "image_count": 0})
    found = only(meter).properties
    assert (found["tokens"], found["time_seconds"], found["image_count"]) == (largest, smallest, 0)


def test_a_time_of_any_zone_is_kept_in_utc(meter: TokenMeter) -> None:
    there = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2)))
    event = meter.record("x", timestamp=there)
    assert event.timestamp == WHEN
    assert event.timestamp.tzinfo is UTC


def test_a_timer_records_seconds_also_when_the_block_raises(meter: TokenMeter) -> None:
    with meter.timer("gpu_time", gpu_type="nvidia_a100"):
        pass
    with pytest.raises(KeyError), meter.timer("gpu_time", gpu_type="nvidia_a100"):
        raise KeyError
    for event, outcome in zip(events_of(meter), ("success", "failed"), strict=True):
        assert event.properties["outcome"] == outcome
        assert event.properties["billable"] == ("true" if outcome == "success" else "false")
        assert event.properties.get("error_type") == (None if outcome == "success" else "KeyError")
        assert event.properties["gpu_type"] == "nvidia_a100"
        assert 0 <= event.properties["time_seconds"] < 5  # type: ignore[operator]


def test_a_timer_that_is_interrupted_was_cancelled(meter: TokenMeter) -> None:
    with pytest.raises(KeyboardInterrupt), meter.timer("gpu_time"):
        raise KeyboardInterrupt
    found = only(meter).properties
    assert (found["outcome"], found["billable"]) == ("cancelled", "true")


def test_a_timer_that_cannot_record_says_so_before_the_block(meter: TokenMeter) -> None:
    entered = False
    with pytest.raises(ConfigurationError, match="image_count is a metric"):  # noqa: SIM117
        with meter.timer("gpu_time", image_count="1"):
            entered = True
    assert not entered


@pytest.mark.parametrize(
    ("outcome", "billable"),
    [("success", "true"), ("cancelled", "true"), ("failed", "false"), ("unknown", "false")],
)
def test_what_failed_is_not_billed_unless_the_user_says_so(
    meter: TokenMeter, outcome: str, billable: str
) -> None:
    assert meter.record("x", outcome=outcome).properties["billable"] == billable
    assert meter.record("x", outcome=outcome, billable="true").properties["billable"] == "true"


def test_the_event_returned_has_the_time_that_is_delivered(meter: TokenMeter) -> None:
    stated = datetime(2026, 11, 21, 12, 0, 0, 123_999, tzinfo=UTC)
    for event in (meter.record("x"), meter.record("x", timestamp=stated)):
        assert Event.from_dict(event.to_dict()).timestamp == event.timestamp
    assert event.timestamp == stated.replace(microsecond=123_000)


def test_the_package_functions_record_into_the_scope_s_meter(meter: TokenMeter) -> None:
    other = TokenMeter("memory:")
    with other.run():
        tokenmeter.record("api_calls")
        with tokenmeter.timer("gpu_time"):
            pass
    assert [event.event_name for event in events_of(other)] == ["api_calls", "gpu_time"]
    other.shutdown()


def test_the_first_of_the_users_own_meters(tmp_path: Path) -> None:
    """SUM of tokens over tokens_total, with model_type=gpt-4 and prompt_type=input."""
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    meter = TokenMeter(url, shape="tokens_total", state_dir=tmp_path / "state")
    meter.instrument()
    chat(meter)
    chat(meter)
    chat(meter, model="gpt-4o-2024-08-06")
    assert meter.flush(30)

    def tokens(prompt_type: str) -> Any:
        filters = {"model_type": "gpt-4", "prompt_type": prompt_type}
        return meter.engine.aggregate("tokens_total", "SUM", "tokens", filters=filters)

    assert (tokens("input"), tokens("output")) == (18, 4)
    meter.shutdown()


def test_the_second_shape_keeps_the_parts_of_each_direction() -> None:
    meter = TokenMeter("memory:", shape="tokens_total")
    meter.instrument()
    chat(meter)
    first, second = events_of(meter)
    assert {first.event_name, second.event_name} == {"tokens_total"}
    assert first.event_id.removesuffix("-input") == second.event_id.removesuffix("-output")
    assert (first.properties["prompt_type"], first.properties["tokens"]) == ("input", 9)
    assert (second.properties["prompt_type"], second.properties["tokens"]) == ("output", 2)
    assert "output_tokens" not in first.properties
    assert "input_tokens" not in second.properties
    assert sum(event.usage.get("request_count", 0) for event in (first, second)) == 1
    meter.shutdown()


def test_the_first_shape_is_one_event_with_both() -> None:
    meter = TokenMeter("memory:", shape="flexprice")
    meter.instrument()
    chat(meter)
    found = only(meter).properties
    assert (found["input_tokens"], found["output_tokens"]) == (9, 2)
    meter.shutdown()


def renamed() -> TokenMeter:
    meter = TokenMeter("memory:", names={"text_generated": "my_text"})
    meter.instrument()
    return meter


def test_names_rename_captured_events() -> None:
    meter = renamed()
    chat(meter)
    meter.record("image_generated")
    assert [event.event_name for event in events_of(meter)] == ["my_text", "image_generated"]
    meter.shutdown()


def test_names_rename_what_is_recorded_by_hand() -> None:
    meter = renamed()
    meter.record("text_generated")
    assert only(meter).event_name == "my_text"
    meter.shutdown()


def billed_by(billable: Callable[[Observation], Any]) -> TokenMeter:
    meter = TokenMeter("memory:", policy=Policy(billable=billable))
    meter.instrument()
    return meter


def test_the_policy_says_what_is_billable() -> None:
    seen: list[Observation] = []

    def small(observation: Observation) -> bool:
        seen.append(observation)
        return (observation.usage.input_tokens or 0) > 100

    meter = billed_by(small)
    chat(meter)
    assert only(meter).properties["billable"] == "false"
    assert (seen[0].provider, seen[0].model, seen[0].outcome) == (
        "openai",
        "gpt-4-0613",
        "success",
    )
    assert seen[0].attribution.customer == "acme"
    meter.shutdown()


def test_a_policy_that_raises_loses_no_event() -> None:
    def broken(_: Observation) -> bool:
        raise ZeroDivisionError

    meter = billed_by(broken)
    chat(meter)
    assert meter.faults == 1
    assert only(meter).properties["billable"] == "true", "the default rule"
    meter.shutdown()
