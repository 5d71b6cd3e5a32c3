"""Parts, tiers and what providers leave out: each token is charged once, at its own rate."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest

from tests.pricing.events import NOON, event, priced
from tokenmeter.event import Property

SONNET: dict[str, Property] = {"provider": "anthropic", "model": "claude-sonnet-4-20250514"}
MILLION = 10**6


def test_cached_and_written_tokens_are_charged_once_each_at_their_own_rate() -> None:
    got = priced(
        **SONNET,
        input_tokens=100_000,
        cache_read_tokens=40_000,
        cache_write_tokens=30_000,
        cache_write_5m_tokens=20_000,
        cache_write_1h_tokens=10_000,
        output_tokens=1_000,
    )
    amounts = {line.metric: (line.quantity, line.amount) for line in got.lines}
    assert amounts == {
        "input_tokens": (30_000, Decimal("0.09")),  # $3
        "cache_read_tokens": (40_000, Decimal("0.012")),  # $0.30
        "cache_write_tokens": (20_000, Decimal("0.075")),  # $3.75, five minutes
        "cache_write_1h_tokens": (10_000, Decimal("0.06")),  # $6
        "output_tokens": (1_000, Decimal("0.015")),  # $15
    }
    assert got.cost == Decimal("0.252")


def test_reasoning_is_within_the_output_and_not_charged_twice() -> None:
    one = priced(provider="openai", model="gpt-5", output_tokens=900, reasoning_tokens=800)
    assert one.cost == priced(provider="openai", model="gpt-5", output_tokens=900).cost


def test_web_searches_are_charged_beside_the_tokens() -> None:
    got = priced(**SONNET, input_tokens=1_000, web_search_count=3)
    assert got.cost == Decimal("0.003") + Decimal("0.03")


def test_a_search_without_a_rate_is_noted() -> None:
    got = priced(provider="deepseek", model="deepseek-chat", input_tokens=9, web_search_count=2)
    assert got.reason == "web_search_count has no rate in the price book"


def test_audio_billed_by_the_second_needs_no_rate_for_its_tokens() -> None:
    model = "voxtral-mini-2602"
    got = priced(provider="mistral", model=model, audio_seconds=3_600, input_tokens=380)
    assert (got.cost, got.reason) == (Decimal("0.18"), None)


def test_a_batch_costs_half_by_its_tier_or_by_its_operation() -> None:
    chat: dict[str, Property] = {"provider": "openai", "model": "gpt-4o", "input_tokens": MILLION}
    assert priced(**chat).cost == Decimal("2.5")
    assert priced(**chat, service_tier="batch").cost == Decimal("1.25")
    assert priced(**chat, operation="batches").cost == Decimal("1.25")
    assert priced(**chat, operation="embeddings.batch_embed").cost == Decimal("2.5")


def test_terms_that_the_book_took_up_later_cost_the_same_before() -> None:
    july = datetime(2026, 7, 1, tzinfo=UTC)
    chat: dict[str, Property] = {"provider": "openai", "model": "gpt-4o", "input_tokens": MILLION}
    batch = priced(july, **chat, service_tier="batch")
    assert batch.cost == Decimal("1.25")
    note = "processing=batch: the rates of 2026-10-14 are used, the first in the price book"
    assert batch.reason == note
    priority = priced(july, **chat, service_tier="priority")
    assert priority.cost == Decimal("4.25")
    # Where the standard rates were others, nobody knows what the terms were.
    changed: dict[str, Property] = {**chat, "model": "o3"}
    before = priced(datetime(2025, 5, 1, tzinfo=UTC), **changed, service_tier="batch")
    assert before.cost == priced(datetime(2025, 5, 1, tzinfo=UTC), **changed).cost
    assert "standard rates are used" in str(before.reason)


def test_a_tier_that_the_book_does_not_know_is_noted() -> None:
    note = "no {} rates in the price book: standard rates are used"
    fast = priced(**SONNET, input_tokens=9, speed="fast")
    assert fast.reason == note.format("speed=fast")


def test_googles_flex_costs_what_its_batches_cost() -> None:
    flash: dict[str, Property] = {
        "provider": "google",
        "model": "gemini-2.5-flash",
        "input_tokens": MILLION,
        "output_tokens": MILLION,
    }
    flex = priced(**flash, service_tier="flex")
    assert flex.cost == priced(**flash, service_tier="batch").cost == Decimal("1.40")
    assert "the rates of batches are used" in str(flex.reason)
    assert priced(**{**flash, "provider": "google-vertex"}, service_tier="ON_DEMAND_FLEX") == flex
    # Where flex has rates of its own, they hold.
    own = priced(
        provider="google", model="gemini-3.8-flash-tts", service_tier="flex", input_tokens=9
    )
    assert own.reason is None
    # A prompt's searches are billed as one, which is not so in a batch.
    searched = priced(**flash, service_tier="flex", web_search_count=4)
    assert searched.cost == Decimal("1.435")


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-4-7"])
def test_fast_mode_costs_six_times_the_tokens_where_the_book_has_no_rates(model: str) -> None:
    opus: dict[str, Property] = {
        "provider": "anthropic",
        "model": model,
        "speed": "fast",
        "web_search_count": 1,
        "input_tokens": MILLION,
        "output_tokens": MILLION,
    }
    got = priced(**opus)
    assert (got.cost, got.reason) == (Decimal("180.01"), "speed=fast: token rates x 6")
    assert priced(**opus, inference_geo="us").cost == Decimal("198.01")


def test_googles_priority_costs_1_8_times_the_tokens_where_the_book_has_no_rates() -> None:
    usage: dict[str, Property] = {"input_tokens": MILLION, "output_tokens": 0}
    flash: dict[str, Property] = {"model": "gemini-3.5-flash", **usage}
    got = priced(provider="google", **flash, service_tier="priority")
    assert (got.cost, got.reason) == (Decimal("2.7"), "service_tier=priority: token rates x 1.8")
    searched = priced(provider="google", **flash, service_tier="priority", web_search_count=1)
    assert searched.cost == Decimal("2.714")
    vertex = priced(provider="google-vertex", **flash, service_tier="on_demand_priority")
    assert vertex.cost == Decimal("2.7")
    told = priced(
        provider="google", model="gemini-3.8-flash-tts", **usage, service_tier="priority"
    )
    assert (told.cost, told.reason) == (Decimal("0.9"), None)


def test_another_provider_s_list_holds_at_standard_rates_only() -> None:
    usage: dict[str, Property] = {"model": "gpt-6-sol", "input_tokens": 10_000}
    assert priced(provider="openai", **usage, service_tier="flex").cost == Decimal("0.01")
    got = priced(provider="azure", **usage, service_tier="flex")
    assert got.cost == Decimal("0.02")
    assert got.reason == ("no service_tier=flex rates in the price book: standard rates are used")


def test_us_only_inference_costs_a_tenth_more_on_tokens_but_not_on_searches() -> None:
    sonnet: dict[str, Property] = {"provider": "anthropic", "model": "claude-sonnet-5"}
    usage: dict[str, Property] = {"input_tokens": MILLION, "web_search_count": 1}
    assert priced(**sonnet, **usage).cost == Decimal("2.01")
    assert priced(**sonnet, **usage, inference_geo="global").cost == Decimal("2.01")
    us_only = priced(**sonnet, **usage, inference_geo="us")
    assert us_only.cost == Decimal("2.21")
    assert us_only.reason == "inference_geo=us: token rates x 1.1"
    assert priced(**SONNET, **usage, inference_geo="us").cost == Decimal("3.01")
    elsewhere = {**sonnet, "provider": "google-vertex"}
    assert priced(**elsewhere, **usage, inference_geo="us").cost == Decimal("2.01")


def test_image_output_without_a_split_is_priced_as_images() -> None:
    drawn: dict[str, Property] = {"provider": "openai", "output_tokens": 4_160}
    images = priced(**drawn, model="gpt-image-1.5")
    assert images.cost == Decimal("0.13312")  # $32, not $10
    assert images.cost == priced(**drawn, model="gpt-image-1.5", output_image_tokens=4_160).cost
    assert images.reason == (
        "no split of the output is reported: all of it is priced as image tokens"
    )


def test_a_reported_split_of_image_output_is_kept() -> None:
    got = priced(
        provider="openai",
        model="gpt-image-1.5",
        output_tokens=1_000,
        output_text_tokens=400,
        output_image_tokens=600,
    )
    assert (got.cost, got.reason) == (Decimal("0.0232"), None)


def test_output_that_is_reported_as_text_is_no_image() -> None:
    usage: dict[str, Property] = {"output_tokens": 1_000, "output_text_tokens": 1_000}
    assert priced(provider="openai", model="gpt-image-1.5", **usage).cost == Decimal("0.01")


def test_a_chat_model_that_can_draw_draws_only_in_an_image_event() -> None:
    usage: dict[str, Property] = {
        "provider": "google",
        "model": "gemini-2.5-flash-image",
        "output_tokens": 1_290,
        "reasoning_tokens": 90,
    }
    assert priced(**usage).cost == Decimal("0.003225")  # $2.50
    drawn = priced(NOON, "image_generated", **usage)
    assert drawn.cost == Decimal("0.036225")  # 1,200 at $30, the thoughts at $2.50


FLASH: dict[str, Property] = {"provider": "google", "model": "gemini-2.5-flash"}


def test_cached_tokens_without_modality_are_text_first_then_audio() -> None:
    usage: dict[str, Property] = {
        "input_tokens": 1_000,
        "input_audio_tokens": 300,
        "cache_read_tokens": 900,
    }
    got = priced(**FLASH, **usage)
    told = priced(**FLASH, **usage, cache_read_text_tokens=700, cache_read_audio_tokens=200)
    assert (got.cost, told.reason) == (told.cost, None)
    assert got.reason == "cached tokens are reported without modality: taken as text first"
    assert {line.metric: line.quantity for line in got.lines} == {
        "cache_read_audio_tokens": 200,
        "cache_read_tokens": 700,
        "input_audio_tokens": 100,
        "input_tokens": 0,
    }


def test_cached_tokens_that_fit_the_text_are_all_text() -> None:
    got = priced(**FLASH, input_tokens=1_000, input_audio_tokens=300, cache_read_tokens=100)
    quantities = {line.metric: line.quantity for line in got.lines}
    assert quantities["cache_read_audio_tokens"] == 0
    assert quantities["cache_read_tokens"] == 100


def test_cached_text_that_is_reported_is_given_out_no_second_time() -> None:
    usage: dict[str, Property] = {"input_tokens": 1_000, "input_audio_tokens": 300}
    some = priced(**FLASH, **usage, cache_read_tokens=900, cache_read_text_tokens=500)
    quantities = {line.metric: line.quantity for line in some.lines}
    assert quantities["cache_read_audio_tokens"] == 200  # the other 200 are text
    assert some.reason is not None


def test_cached_tokens_that_are_all_reported_as_text_leave_none_for_audio() -> None:
    usage: dict[str, Property] = {"input_tokens": 1_000, "input_audio_tokens": 300}
    every = priced(**FLASH, **usage, cache_read_tokens=600, cache_read_text_tokens=600)
    assert every.reason is None
    assert [line.metric for line in every.lines if "audio" in line.metric] == [
        "input_audio_tokens"
    ]


def test_a_modality_whose_cached_tokens_are_reported_keeps_them() -> None:
    got = priced(
        provider="openai",
        model="gpt-realtime",
        input_tokens=1_000,
        input_audio_tokens=300,
        input_image_tokens=200,
        cache_read_tokens=900,
        cache_read_audio_tokens=250,
    )
    quantities = {line.metric: line.quantity for line in got.lines}
    assert quantities["cache_read_audio_tokens"] == 250
    assert quantities["cache_read_image_tokens"] == 150
    assert quantities["cache_read_tokens"] == 500


def test_an_input_total_that_is_missing_is_the_sum_of_its_parts() -> None:
    got = priced(**SONNET, uncached_input_tokens=100, cache_read_tokens=200, cache_write_tokens=50)
    whole = priced(**SONNET, input_tokens=350, cache_read_tokens=200, cache_write_tokens=50)
    assert got.cost == whole.cost


def test_parts_without_their_total_are_priced_and_noted() -> None:
    got = priced(**SONNET, cache_read_tokens=MILLION, output_tokens=0)
    assert got.cost == Decimal("0.3")
    assert got.reason == "input_tokens is not reported: only its parts are priced"


def test_the_two_directions_of_a_chat_add_up_to_the_chat() -> None:
    whole = priced(**SONNET, input_tokens=500, cache_read_tokens=200, output_tokens=70)
    sent = priced(**SONNET, prompt_type="input", tokens=500, cache_read_tokens=200)
    said = priced(**SONNET, prompt_type="output", tokens=70)
    assert whole.cost is not None
    assert sent.cost is not None
    assert said.cost is not None
    assert whole.cost == sent.cost + said.cost


def test_an_answer_alone_is_priced_as_that_of_a_short_prompt_and_noted() -> None:
    model = "claude-sonnet-4-5"
    got = priced(provider="anthropic", model=model, prompt_type="output", tokens=100)
    assert got.cost == Decimal("0.0015")
    assert got.reason == ("the prompt's length is not known: the rate for short prompts is used")


def test_a_long_lived_cache_write_is_priced_as_a_short_one_and_noted() -> None:
    usage: dict[str, Property] = {"input_tokens": 100, "cache_write_tokens": 100}
    got = priced(provider="openai", model="gpt-6-sol", **usage, cache_write_12h_tokens=100)
    assert got.cost == priced(provider="openai", model="gpt-6-sol", **usage).cost
    assert got.reason == "cache_write_12h_tokens is priced as a short cache write"


def test_the_fee_of_a_request_is_charged_once_a_request() -> None:
    asked: dict[str, Property] = {"provider": "perplexity", "model": "sonar", "input_tokens": 10}
    with_fee, without = priced(**asked, request_count=1), priced(**asked)
    assert with_fee.cost is not None
    assert without.cost is not None
    assert with_fee.cost - without.cost == Decimal("0.012")
    assert priced(provider="perplexity", model="sonar", request_count=1).cost is None


@pytest.mark.parametrize(("seconds", "billed"), [(0, 0), (1, 10), (10, 10), (11, 11)])
def test_groq_bills_at_least_ten_seconds_of_audio(seconds: int, billed: int) -> None:
    got = priced(provider="groq", model="whisper-large-v3", audio_seconds=seconds)
    assert [line.quantity for line in got.lines if line.quantity] == ([billed] if billed else [])


def test_the_decimal_context_of_the_thread_changes_no_amount() -> None:
    usage: dict[str, Property] = {
        "provider": "mistral",
        "model": "voxtral-mini-2602",
        "audio_seconds": Decimal("3599.123"),
        "reported_cost_usd": "0.2345678",
    }
    tokens = {"input_tokens": Decimal("98765.5"), "cache_read_tokens": Decimal("0.25")}
    exact, exact_tokens = priced(**usage), priced(**SONNET, **tokens)
    with localcontext(prec=2):
        rough, rough_tokens = priced(**usage), priced(**SONNET, **tokens)
    assert (rough.computed, rough.drift) == (exact.computed, exact.drift)
    assert rough_tokens.cost == exact_tokens.cost == Decimal("0.296295825")


def test_an_event_read_back_from_the_journal_costs_the_same() -> None:
    told = event(**SONNET, input_tokens=500, output_tokens=70, audio_seconds=Decimal("1.5"))
    read = type(told).from_dict(told.to_dict())
    assert priced(read.timestamp, **read.properties).cost == priced(**told.properties).cost


def test_pieces_without_a_rate_are_named_and_never_make_a_call_free() -> None:
    embedded: dict[str, Property] = {"provider": "cohere", "model": "embed-v4.0"}
    pictures = priced(**embedded, input_tokens=0, input_image_count=2)
    assert pictures.cost is None
    assert pictures.reason == "embed-v4.0 has no rate for input_image_count"
    both = priced(**embedded, input_tokens=1_000, input_image_count=2)
    assert both.cost == Decimal("0.00012")
    assert both.reason == "input_image_count has no rate in the price book"
    assert priced(**embedded, input_tokens=0, input_image_count=0).cost == 0


@pytest.mark.parametrize(
    ("model", "searches", "fee"),
    [
        ("gemini-2.5-flash", 1, "0.035"),
        ("gemini-2.5-flash", 4, "0.035"),  # $35 for a thousand prompts
        ("gemini-2.5-flash", 0, "0"),
        ("gemini-3-flash-preview", 4, "0.056"),  # $14 for a thousand searches
    ],
)
def test_google_bills_a_prompts_searches_once_until_gemini_3_bills_each(
    model: str, searches: int, fee: str
) -> None:
    asked: dict[str, Property] = {"provider": "google", "model": model, "input_tokens": 0}
    got = priced(**asked, output_tokens=0, web_search_count=searches)
    assert got.cost == Decimal(fee)
    once = model.startswith("gemini-2") and searches > 1
    assert got.reason == ("the searches for one prompt are billed as one" if once else None)


def test_each_prompt_of_a_batch_is_grounded_by_itself() -> None:
    batch: dict[str, Property] = {
        "provider": "google",
        "model": "gemini-2.5-flash",
        "operation": "generateContent.batches",
        "input_tokens": 0,
        "output_tokens": 0,
    }
    assert priced(**batch, web_search_count=4).cost == Decimal("0.14")


@pytest.mark.parametrize(
    ("model", "cost"),
    [("gpt-4o-audio-preview-2024-12-17", "0.0655"), ("gpt-4o-mini-audio-preview", "0.01609")],
)
def test_sound_of_openais_first_audio_models_is_not_priced_as_text(model: str, cost: str) -> None:
    got = priced(
        provider="openai",
        model=model,
        input_tokens=1_000,
        input_audio_tokens=800,
        output_tokens=500,
        output_audio_tokens=400,
    )
    assert got.cost == Decimal(cost)
