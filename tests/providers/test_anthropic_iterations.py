"""Anthropic's `usage.iterations`: sub-calls that the top-level usage leaves out."""

from __future__ import annotations

from typing import Any

from tests.providers.anthropic_wire import (
    STOP,
    Json,
    delta,
    lifetimes,
    message,
    read_body,
    read_stream,
    start,
    tokens,
)
from tokenmeter.providers import Reading

FABLE, OPUS, SONNET = "claude-fable-5", "claude-opus-4-8", "claude-sonnet-5"


def entry(kind: str, usage: Json, model: str | None = None) -> Json:
    return {"type": kind, **usage, **({"model": model} if model else {})}


def with_entries(top: Json, *entries: Any, **fields: Any) -> Reading:
    return read_body(message({**top, "iterations": list(entries)}, **fields))


def parts(reading: Reading) -> dict[str, tuple[str | None, object, object]]:
    return {
        part.name: (part.model, part.usage.input_tokens, part.usage.output_tokens)
        for part in reading.parts
    }


def test_trap_12_a_compaction_is_a_part_beside_the_top_level_usage() -> None:
    reading = with_entries(
        tokens(300, 40, service_tier="standard", speed="fast"),
        entry("compaction", tokens(150_000, 2_500, read=10)),
        entry("message", tokens(300, 40)),
    )
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (300, 40)
    assert parts(reading) == {"compaction-0": (None, 150_010, 2_500)}
    assert reading.parts[0].dimensions == {"service_tier": "standard", "speed": "fast"}
    assert reading.flags == frozenset()


def test_the_advisor_is_a_part_under_its_own_model() -> None:
    reading = with_entries(
        tokens(2417, 133, speed="fast", inference_geo="us"),
        entry("message", tokens(1128, 121)),
        entry("advisor_message", tokens(2529, 38), OPUS),
        entry("message", tokens(1289, 12)),
    )
    assert reading.usage.input_tokens == 2417
    assert reading.model == SONNET
    assert parts(reading) == {"advisor_message-1": (OPUS, 2529, 38)}
    assert reading.parts[0].dimensions == {"inference_geo": "us"}


def test_after_a_fallback_each_attempt_is_billed_under_its_own_model() -> None:
    reading = with_entries(
        tokens(412, 264),
        entry("message", tokens(408, 30), FABLE),
        entry("fallback_message", tokens(412, 264), OPUS),
        model=OPUS,
    )
    assert (reading.model, reading.usage.input_tokens) == (OPUS, 412)
    assert parts(reading) == {"message-0": (FABLE, 408, 30)}


def test_the_fallback_model_stands_even_where_the_answer_names_the_first_one() -> None:
    reading = with_entries(
        tokens(412, 264),
        entry("message", tokens(408, 30), FABLE),
        entry("fallback_message", tokens(412, 264), OPUS),
        model=FABLE,
    )
    assert reading.model == OPUS
    assert parts(reading) == {"message-0": (FABLE, 408, 30)}


def test_a_fallback_that_the_top_level_leaves_out_is_a_part() -> None:
    reading = with_entries(
        tokens(408, 30),
        entry("message", tokens(408, 30), FABLE),
        entry("fallback_message", tokens(412, 264), OPUS),
        model=FABLE,
    )
    assert (reading.model, reading.usage.input_tokens) == (FABLE, 408)
    assert parts(reading) == {"fallback_message-1": (OPUS, 412, 264)}


def test_nothing_is_a_part_that_the_top_level_includes() -> None:
    reading = with_entries(
        tokens(820, 294),
        entry("message", tokens(408, 30), FABLE),
        entry("fallback_message", tokens(412, 264), OPUS),
    )
    assert reading.parts == ()
    assert reading.usage.input_tokens == 820


def test_tool_loops_under_an_alias_of_the_model_are_no_parts() -> None:
    reading = with_entries(
        tokens(1, 1),  # numbers that do not add up
        entry("message", tokens(100, 5), "claude-opus-4"),
        entry("message", tokens(200, 5)),
        model="claude-opus-4-20250514",
    )
    assert reading.parts == ()


def test_an_attempt_of_another_model_is_a_part_where_the_answer_names_none() -> None:
    entries = [entry("message", tokens(100, 5), OPUS)]
    usage = {**tokens(1, 1), "iterations": entries}
    reading = read_body({"type": "message", "usage": usage})
    assert parts(reading) == {"message-0": (OPUS, 100, 5)}


def handed_over(category: str | None) -> Json:
    trigger = {"type": "refusal", "category": category}
    models = {"from": {"model": FABLE}, "to": {"model": OPUS}}
    return {"type": "fallback", **models, "trigger": trigger}


def declined_at_once(category: str | None) -> Reading:
    return with_entries(
        tokens(412, 264),
        entry("message", tokens(408, 0), FABLE),
        entry("fallback_message", tokens(412, 264), OPUS),
        model=OPUS,
        content=[handed_over(category), {"type": "text", "text": "Hi"}],
    )


def test_an_attempt_declined_before_any_output_is_not_charged() -> None:
    for category in ("cyber", "general_harms", None):
        reading = declined_at_once(category)
        assert reading.parts == ()
        assert reading.flags == {"unbilled_refusal"}


def test_an_attempt_declined_in_a_billed_category_is_charged() -> None:
    reading = declined_at_once("frontier_llm")
    assert parts(reading) == {"message-0": (FABLE, 408, 0)}
    assert reading.flags == frozenset()


def fallback_stream(*, until: int) -> Reading:
    begun = {"type": "content_block_start", "index": 0, "content_block": handed_over("bio")}
    usage = {
        **tokens(412, 264),
        "iterations": [
            entry("message", tokens(408, 0), FABLE),
            entry("fallback_message", tokens(412, 264), OPUS),
        ],
    }
    events = [start(tokens(408, 1), model=FABLE), begun, delta(usage), STOP]
    return read_stream(*events[:until])


def test_a_stream_that_changes_models_is_billed_under_both() -> None:
    reading = fallback_stream(until=4)
    assert (reading.model, reading.usage.output_tokens) == (OPUS, 264)
    assert parts(reading) == {"message-0": (FABLE, 408, 0)}
    assert reading.state == "success"


def test_an_aborted_stream_knows_which_model_went_on() -> None:
    assert fallback_stream(until=1).model == FABLE
    assert fallback_stream(until=2).model == OPUS


def test_a_sub_call_without_tokens_is_no_part() -> None:
    reading = with_entries(
        tokens(3, 4), entry("compaction", tokens(0, 0)), entry("message", tokens(3, 4))
    )
    assert reading.parts == ()


def test_grown_cache_writes_take_their_lifetimes_from_the_iterations() -> None:
    first = tokens(3, 1, write=100, cache_creation=lifetimes(100, 0))
    entries = [
        entry("message", tokens(3, 20, write=100, cache_creation=lifetimes(100, 0))),
        entry("compaction", tokens(9, 9, write=7, cache_creation=lifetimes(7, 0))),
        entry("message", tokens(4, 30, write=50, cache_creation=lifetimes(0, 50))),
    ]
    last = {**tokens(7, 50, write=150), "iterations": entries}
    reading = read_stream(start(first), delta(last), STOP)
    assert reading.usage.cache_write_5m_tokens == 100
    assert reading.usage.cache_write_1h_tokens == 50
    assert reading.flags == frozenset()


def test_a_split_of_the_last_iteration_alone_is_made_whole_by_the_others() -> None:
    entries = [
        entry("message", tokens(3, 20, write=200, cache_creation=lifetimes(0, 200))),
        entry("message", tokens(4, 30, write=100, cache_creation=lifetimes(0, 100))),
    ]
    reading = with_entries(tokens(7, 50, write=300, cache_creation=lifetimes(0, 100)), *entries)
    assert reading.usage.cache_write_5m_tokens == 0
    assert reading.usage.cache_write_1h_tokens == 300
    assert reading.flags == frozenset()


def test_grown_cache_writes_stay_unknown_where_the_iterations_do_not_split_them() -> None:
    first = tokens(3, 1, write=100, cache_creation=lifetimes(100, 0))
    for split in (None, lifetimes(20, 0)):
        entries = [entry("message", tokens(3, 50, write=150, cache_creation=split))]
        last = {**tokens(3, 50, write=150), "iterations": entries}
        reading = read_stream(start(first), delta(last), STOP)
        assert "cache_growth_ttl_unknown" in reading.flags
        assert reading.usage.cache_write_5m_tokens == 100


def test_an_entry_of_an_unknown_type_is_flagged_and_kept_if_left_out() -> None:
    reading = with_entries(
        tokens(3, 4),
        entry("message", tokens(3, 4)),
        entry("planner_message", tokens(50, 6), OPUS),
        {"type": {}, **tokens(0, 0)},
        "junk",
    )
    assert "unknown:iterations.type" in reading.flags
    assert parts(reading) == {"iteration-1": (OPUS, 50, 6)}


def test_iterations_that_are_no_list_are_flagged() -> None:
    reading = read_body(message({**tokens(3, 4), "iterations": {"type": "message"}}))
    assert reading.flags == {"invalid:iterations"}
    assert reading.usage.input_tokens == 3


def test_a_flood_of_iterations_is_cut_and_flagged() -> None:
    flood = [entry("compaction", tokens(1, 1))] * 300
    reading = with_entries(tokens(3, 4), *flood)
    assert len(reading.parts) == 256
    assert "iterations_cut" in reading.flags
