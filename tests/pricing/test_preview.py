"""The price of a call before it is made: rules, tables, the formula, limits, history, charges."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pricing.events import BOOK, NOON, event
from tests.pricing.test_equality import MODELS, boundaries
from tokenmeter import Event, Money, PreviewError, Quote
from tokenmeter.event import PREVIEWED
from tokenmeter.pricing.asked import Asked
from tokenmeter.pricing.forecast import output_limit
from tokenmeter.pricing.history import Correction, History, Spread, correction_of, learned
from tokenmeter.pricing.image_tokens import drawn_tokens
from tokenmeter.pricing.keywords import asked_by_keywords
from tokenmeter.pricing.preview import Terms, prepared, quote
from tokenmeter.pricing.seedance import clip_tokens


def previewed(provider: str, model: str, /, terms: Terms = Terms(NOON), **said: Any) -> Quote:  # noqa: B008
    return quote(asked_by_keywords(provider, model, said, BOOK.media), terms, BOOK)


def usd(text: str) -> Money:
    return Money(Decimal(text))


def ends(found: Quote) -> tuple[str, str, str]:
    assert found.cost is not None, found.notes
    return tuple(  # type: ignore[return-value]
        f"{money.amount.normalize():f}"
        for money in (found.cost.low, found.cost.expected, found.cost.high)
    )


SEEDANCE = ("byteplus", "seedance-1-5-pro-251215")


@pytest.mark.parametrize(
    ("asked", "said", "cost"),
    [
        (("openai", "dall-e-3"), {"size": "1024x1024", "quality": "hd", "n": 2}, "0.16"),
        (("openai", "dall-e-3"), {"prompt": "a cat"}, "0.04"),
        (("openai", "sora-2"), {"seconds": "8"}, "0.8"),
        (("openai", "sora-2"), {"duration": 8, "size": "1280x720"}, "0.8"),
        (("openai", "sora-2"), {}, "0.4"),
        (("kling", "kling-v2-5-turbo"), {"duration": "5", "mode": "std"}, "0.245"),
        (("kling", "kling-v3-omni"), {"duration": 5.0, "resolution": "4K"}, "2.1"),
        (("kling", "kling-v3-omni"), {"duration": "5s", "generate_audio": True}, "0.56"),
        (("kling", "kling-3.0-omni"), {"duration": 5, "resolution": "1080p"}, "0.56"),
        (("kling", "kling-v2-6"), {"sound": "on"}, "0.7"),
        (("kling", "kling-image-o1"), {"n": 3}, "0.084"),
        (("google", "veo-3.1-generate-001"), {"duration_seconds": 8}, "3.2"),
        (
            ("google-vertex", "veo-3.1-generate-001"),
            {"generate_audio": False, "n": 2, "duration": 8},
            "3.2",
        ),
        (("google", "imagen-4.0-generate-001"), {"number_of_images": 4}, "0.16"),
        (("marble", "marble-1.1"), {"input_type": "image"}, "1.264"),
        (("happyhorse", "happyhorse-1.0/video"), {"mode": "pro"}, "2.4"),
        (("alibaba", "happyhorse-1.0-t2v"), {"resolution": "720P", "duration": 5}, "0.7"),
        (("byteplus", "seedream-4-5-251128"), {"n": 2}, "0.08"),
        (("bfl", "flux-pro-1.1"), {"prompt": "a cat"}, "0.04"),
        (("openai", "tts-1"), {"input": "hello world"}, "0.000165"),
    ],
)
def test_an_exact_rule_gives_the_cost(
    asked: tuple[str, str], said: dict[str, Any], cost: str
) -> None:
    found = previewed(*asked, **said)
    assert ends(found) == (cost, cost, cost)
    assert found.exact
    assert sum(line.amount for line in found.lines) == Decimal(cost)


@pytest.mark.parametrize(
    "given", [1200, "1200", " 1200 ", 1200.0, Decimal(1200), Decimal("1.2E+3")]
)
def test_a_quantity_is_the_same_number_however_it_is_written(given: object) -> None:
    """A recorded event's own metrics are Decimals, and were refused."""
    wanted = previewed("openai", "gpt-4o", input_tokens=1200, output_tokens=5)
    assert previewed("openai", "gpt-4o", input_tokens=given, output_tokens=Decimal(5)) == wanted
    with pytest.raises(PreviewError, match="output_tokens must be a number"):
        previewed("openai", "gpt-4o", input_tokens=given, output_tokens=Decimal("NaN"))


def test_gpt_image_is_priced_by_the_table_and_the_prompt() -> None:
    found = previewed(
        "openai", "gpt-image-1", size="1024x1024", quality="high", n=2, prompt="a cat"
    )
    assert found.usage.output_image_tokens == 2 * 4160
    assert found.usage.input_tokens == 2
    assert ends(found)[1] == "0.33281"
    assert "token table" in found.basis
    assert not found.exact


def test_partial_images_of_a_stream_cost_a_hundred_tokens_each() -> None:
    found = previewed("openai", "gpt-image-1", size="1024x1024", quality="low", partial_images=2)
    assert found.cost is not None
    assert found.usage.output_image_tokens == 272 + 200
    assert found.cost.low == usd("0.01088")


def test_a_size_left_to_the_model_is_a_range() -> None:
    found = previewed("openai", "gpt-image-1", prompt="a cat")
    assert ends(found) == ("0.01089", "0.04225", "0.24993")
    assert "left to the model" in found.basis


@pytest.mark.parametrize(
    ("model", "size", "quality", "tokens"),
    [
        ("gpt-image-1", "1024x1536", "medium", (1584, 1584, 1584)),
        ("gpt-image-1", "2000x2000", "low", (272, 272, 408)),
        ("gpt-image-2", "1024x1024", "high", (7033, 7033, 7033)),
        ("gpt-image-2.5-flare", "3840x2160", "max", (13342, 13342, 13342)),
        ("chatgpt-image-latest", "1024x1024", "auto", (272, 1056, 4160)),
        ("gemini-2.5-flash-image", None, None, (1290, 1290, 1290)),
        ("gemini-3-pro-image-preview", "4K", None, (2000, 2000, 2000)),
        ("gemini-3.1-flash-image", "8K", None, (747, 1120, 2520)),
    ],
)
def test_the_table_knows_each_model(
    model: str, size: str | None, quality: str | None, tokens: tuple[int, int, int]
) -> None:
    drawn = drawn_tokens(model, size, quality)
    assert drawn is not None
    assert drawn[:3] == tokens


def test_a_model_that_no_table_knows_has_no_tokens() -> None:
    assert drawn_tokens("dall-e-3", "1024x1024", "hd") is None


def test_seedance_is_priced_by_the_formula_for_the_real_frame() -> None:
    found = previewed(*SEEDANCE, duration=5, resolution="720p", ratio="16:9")
    assert found.usage.video_tokens == 108_900
    assert ends(found) == ("0.26136",) * 3
    assert "Seedance formula" in found.basis


@pytest.mark.parametrize(
    ("said", "low", "high", "why"),
    [
        ({"duration": -1, "ratio": "16:9"}, 97 * 900, 289 * 900, "length left to the model"),
        ({"duration": "-1", "ratio": "16:9"}, 97 * 900, 289 * 900, "length left to the model"),
        ({"duration": 5, "ratio": "adaptive"}, 108_900, 109_586, "ratio adaptive"),
        ({"duration": 5}, 108_900, 109_586, "ratio adaptive"),
    ],
)
def test_what_the_model_chooses_is_a_range(
    said: dict[str, Any], low: int, high: int, why: str
) -> None:
    found = previewed(*SEEDANCE, resolution="720p", **said)
    assert found.usage.video_tokens == 108_900
    assert ends(found)[0] == f"{(low * Decimal('0.0000024')).normalize():f}"
    assert ends(found)[2] == f"{(high * Decimal('0.0000024')).normalize():f}"
    assert why in found.basis


def test_a_draft_an_input_video_and_an_unknown_frame_are_told() -> None:
    said = {"resolution": "480p", "aspect_ratio": "16:9"}
    loud = clip_tokens(SEEDANCE[1], {**said, "draft": "true", "generate_audio": "true"}, 5)
    silent = clip_tokens(SEEDANCE[1], {**said, "draft": "true", "generate_audio": "false"}, 5)
    fed = clip_tokens("seedance-2-0-260128", {**said, "input_has_video": "true"}, 5)
    assert loud is not None
    assert silent is not None
    assert fed is not None
    assert loud[0].low == loud[0].high == 30_383
    assert (silent[0].low, silent[0].high) == (30_383, 50_639)
    assert "not published" in silent[1]
    assert fed[0].high == 4 * fed[0].low
    assert "input video" in fed[1]
    assert clip_tokens(SEEDANCE[1], {"resolution": "9k", "aspect_ratio": "16:9"}, 5) is None
    refused = previewed(*SEEDANCE, duration=5, resolution="9k")
    assert refused.cost is None


def test_credits_that_vary_are_a_range_with_its_middle() -> None:
    found = previewed("marble", "marble-1.1-plus")
    assert ends(found) == ("1.264", "1.864", "2.464")
    assert "known only after the job" in found.notes[-1]


def test_a_usual_price_is_called_one() -> None:
    found = previewed("muapi", "seedance-2.0-omni", duration=5)
    assert ends(found) == ("0.3", "0.3", "0.3")
    assert "usual price" in found.basis
    assert not found.exact


def test_max_tokens_is_the_upper_end_of_the_answer() -> None:
    found = previewed("openai", "gpt-4o", prompt="Hello", max_tokens=100)
    assert ends(found) == ("0.00003", "0.00102", "0.00102")
    assert found.usage.output_tokens == 100
    assert "max_tokens=100" in found.basis


def test_without_a_limit_and_a_history_the_answer_is_assumed_and_called_so() -> None:
    found = previewed("openai", "gpt-4o", prompt="Hello")
    assert ends(found) == ("0.00003", "0.00502", "0.04098")
    assert "assumed" in found.basis
    assert "neither max_tokens nor a history" in found.notes[0]


def test_several_answers_multiply_the_output_and_not_the_input() -> None:
    found = previewed("openai", "gpt-4o", prompt="Hello", max_tokens=100, n=3)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (8, 300)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": "7", "max_tokens": 5}, 7),
        ({"max_completion_tokens": 1, "max_tokens": 9}, 9),  # a provider may know one alone
        ({"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 9}}, 9),
        ({"generationConfig": {"maxOutputTokens": 9}}, 9),
        ({"inferenceConfig": {"maxTokens": 11}}, 11),
        ({"max_tokens": None}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": "many"}, None),
        ({"generationConfig": []}, None),
        ({}, None),
    ],
)
def test_the_limit_is_found_in_each_format(body: dict[str, Any], limit: int | None) -> None:
    assert output_limit(body) == limit


HISTORY = History(40, Spread(10, 20, 30), Spread(50, 200, 400), Correction(Decimal("1.5")))


def test_history_expects_the_median_and_the_outer_tenths() -> None:
    found = previewed("openai", "gpt-4o", Terms(NOON, history=HISTORY), prompt="Hello")
    assert ends(found) == ("0.00052", "0.00202", "0.00402")
    assert "history of 40" in found.basis


def test_history_never_expects_more_than_max_tokens() -> None:
    said = {"prompt": "Hello", "max_tokens": 100}
    found = previewed("openai", "gpt-4o", Terms(NOON, history=HISTORY), **said)
    assert ends(found) == ("0.00052", "0.00102", "0.00102")


def test_history_stands_in_for_a_prompt_that_is_not_given() -> None:
    found = previewed("openai", "gpt-4o", Terms(NOON, history=HISTORY), max_tokens=100)
    assert found.usage.input_tokens == 20
    assert "input: history of 40" in found.basis


def test_history_corrects_estimates_and_leaves_exact_counts_alone() -> None:
    text = "Please tell me about the weather in Oslo. " * 20
    terms = Terms(NOON, history=HISTORY)
    for provider, model, ratio in (
        ("anthropic", "claude-sonnet-4-5", Decimal("1.5")),
        ("openai", "gpt-4o", Decimal(1)),
    ):
        plain = previewed(provider, model, prompt=text, max_tokens=1).usage.input_tokens
        found = previewed(provider, model, terms, prompt=text, max_tokens=1)
        assert found.usage.input_tokens == round(Decimal(plain or 0) * ratio)
        assert ("x 1.50 by history" in found.basis) == (ratio != 1)


def test_history_is_learned_from_calls_that_went_well() -> None:
    def past(tokens: int, **more: Any) -> Event:
        facts = {"outcome": "success", "input_tokens": 12, "output_tokens": tokens, **more}
        return event(**facts)

    events = [past(tokens, **{PREVIEWED: "10"}) for tokens in range(1, 12)]
    found = learned([*events, past(10_000, outcome="failed"), event(outcome="success")])
    assert found.output_tokens == Spread(2, 6, 10)
    assert found.input_tokens == Spread(12, 12, 12)
    assert found.input == Correction(Decimal("1.2"))
    assert learned([]) == History()
    few = learned(events[:1])
    assert (few.output_tokens, few.input) == (None, None)


def test_what_a_providers_tool_reads_comes_on_top_and_is_no_multiple_of_the_prompt() -> None:
    searches = [(Decimal(14_000), Decimal(14)), (Decimal(13_520), Decimal(27))]
    seen = correction_of(searches)
    assert seen is not None
    assert seen.extra == Decimal("13739.5")
    assert seen.of(Decimal(500)) == Decimal("14239.5")
    texts = [(Decimal(20), Decimal(10)), (Decimal(300), Decimal(150))]
    assert correction_of(texts) == Correction(Decimal(2))  # as much as it may be the text's
    beyond = [(Decimal(21), Decimal(10)), (Decimal(301), Decimal(148))]
    assert correction_of(beyond) == Correction(extra=Decimal(82))
    assert correction_of(texts[:1]) is None
    assert correction_of([*texts[:1], (Decimal(0), Decimal(9))]) is None
    assert str(Correction(Decimal("1.5"))) == "x 1.50"
    assert str(seen) == "+13740"


def test_a_quote_adds_what_came_on_top_before() -> None:
    text = "What happened in the world today?"
    known = History(events=4, input=Correction(extra=Decimal(9_000)))
    terms = Terms(NOON, history=known)
    plain = previewed("anthropic", "claude-sonnet-4-5", prompt=text, max_tokens=1)
    found = previewed("anthropic", "claude-sonnet-4-5", terms, prompt=text, max_tokens=1)
    assert (found.usage.input_tokens or 0) - (plain.usage.input_tokens or 0) == 9_000
    assert "+9000 by history of 4" in found.basis


def test_klings_5_041_seconds_are_quoted_as_the_5_it_bills() -> None:
    for written in (5, "5s", "5.041", 5.041):
        assert ends(previewed("kling", "kling-v3-omni", duration=written)) == ("0.42",) * 3


@pytest.mark.parametrize("odd", [[], {}, None])
def test_an_odd_flag_is_no_fault_of_ours(odd: object) -> None:
    assert ends(previewed("kling", "kling-v3-omni", duration=5, generate_audio=odd))[0] == "0.42"


def test_a_length_that_nobody_gave_is_an_assumption() -> None:
    said = previewed("google-vertex", "veo-3.1-lite", duration=8)
    unsaid = previewed("google-vertex", "veo-3.1-lite")
    assert (said.exact, unsaid.exact) == (True, False)
    assert said.expected == unsaid.expected
    assert "no duration is given" in unsaid.notes[0]


def test_stated_quantities_are_priced_as_their_event_and_nothing_beside() -> None:
    found = previewed("openai", "gpt-4o", input_tokens=1_000)
    assert ends(found) == ("0.0025",) * 3
    assert found.exact
    limited = previewed("openai", "gpt-4o", input_tokens="1000", max_tokens=100)
    assert ends(limited) == ("0.00251", "0.0035", "0.0035")


@pytest.mark.parametrize(
    ("provider", "model", "said", "why"),
    [
        ("openai", "gpt-none", {"prompt": "x"}, "no token price for 'gpt-none'"),
        ("nobody", "x", {"prompt": "x"}, "no token price list for provider 'nobody'"),
        ("openai", "gpt-4o", {}, "nothing says how much would be used"),
        ("openai", "whisper-1", {}, "nothing says how much would be used"),
        ("openia", "dall-e-3", {"n": 2}, "no token price list for provider 'openia'"),
        ("openai", "gpt-99", {}, "no token price for 'gpt-99' of provider 'openai'"),
        ("openai", "dall-e-3", {"size": "8x8"}, "dall-e-3 has no price per image_count"),
        ("kling", "kling-v99", {"duration": 5}, "no price for 'kling-v99'"),
    ],
)
def test_what_has_no_price_says_why_and_no_number(
    provider: str, model: str, said: dict[str, Any], why: str
) -> None:
    found = previewed(provider, model, **said)
    assert (found.cost, found.charge) == (None, None)
    assert (found.low, found.expected, found.high) == (None, None, None)
    assert found.notes[0].startswith(why)
    assert not found.exact
    assert found.lines == ()


def test_counting_tokens_is_free() -> None:
    asked = Asked("anthropic", "claude-sonnet-4-5", "text_generated", "messages.count_tokens")
    found = quote(asked, Terms(NOON), BOOK)
    assert ends(found) == ("0", "0", "0")
    assert found.exact


@pytest.mark.parametrize(
    "said",
    [
        {"n": 0},
        {"n": -1},
        {"n": "two"},
        {"n": True},
        {"n": 1.5},
        {"n": 10**9},
        {"image_count": "NaN"},
        {"image_count": -2},
        {"input_tokens": float("inf")},
        {"duration": "soon"},
        {"duration": float("nan")},
        {"duration": 0},
        {"duration": 10**6},
        {"seconds": -5},
    ],
)
def test_a_value_that_makes_no_sense_is_one_clear_error(said: dict[str, Any]) -> None:
    with pytest.raises(PreviewError, match="must be"):
        previewed("kling", "kling-v3", **said)


def test_a_prompt_that_is_not_given_is_told() -> None:
    found = previewed("openai", "gpt-4o", max_tokens=10)
    assert "no prompt is given" in found.notes[0]


def test_a_long_prompt_has_the_rates_of_long_prompts_at_each_end() -> None:
    history = History(9, Spread(100_000, 150_000, 300_000), Spread(1, 1, 1))
    found = previewed("anthropic", "claude-sonnet-4-5", Terms(NOON, history=history))
    assert found.cost is not None
    low, high = (
        previewed("anthropic", "claude-sonnet-4-5", input_tokens=n, output_tokens=1).expected
        for n in (100_000, 300_000)
    )
    assert (found.cost.low, found.cost.high) == (low, high)


@given(
    st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-5", "o3"]),
    st.integers(1, 500_000),
    st.integers(1, 100_000),
)
def test_each_end_costs_what_its_event_would(model: str, tokens: int, limit: int) -> None:
    found = previewed("openai", model, input_tokens=tokens, max_tokens=limit)
    low, high = (
        BOOK.price(
            event(provider="openai", model=model, input_tokens=tokens, output_tokens=n)
        ).cost
        for n in (1, limit)
    )
    assert found.cost is not None
    assert (found.cost.low.amount, found.cost.high.amount) == (low, high)


def test_a_catalog_says_what_the_customer_owes_at_each_end() -> None:
    asked: list[Event] = []

    def charge(event: Event) -> Money:
        asked.append(event)
        return Money(Decimal(event.usage.output_tokens or 0), "eur")

    terms = Terms(NOON, "cust_1", HISTORY, {"feature": "chat"}, charge)
    found = previewed("openai", "gpt-4o", terms, prompt="Hello")
    assert found.charge is not None
    assert (found.low, found.expected, found.high) == (
        Money(Decimal(50), "eur"),
        Money(Decimal(200), "eur"),
        Money(Decimal(400), "eur"),
    )
    assert found.cost is not None
    assert {event.external_customer_id for event in asked} == {"cust_1"}
    assert {event.properties["feature"] for event in asked} == {"chat"}
    assert {event.event_name for event in asked} == {"text_generated"}


def three(_event: Event) -> Money:
    return usd("3")


def nothing(_event: Event) -> None:
    return None


def test_a_catalog_can_have_a_price_where_the_provider_has_none() -> None:
    terms = Terms(NOON, "cust_1", charger=three)
    found = previewed("acme", "clip-9", terms, video_jobs=1)
    assert found.cost is None
    assert found.expected == usd("3")


def test_no_price_in_the_catalog_leaves_the_cost() -> None:
    terms = Terms(NOON, "cust_1", charger=nothing)
    found = previewed("openai", "dall-e-3", terms, n=1)
    assert found.charge is None
    assert found.expected == usd("0.04")


def test_a_call_that_is_kept_read_is_quoted_at_the_prices_of_its_time() -> None:
    changing = [named for named in MODELS if boundaries(named[2])]
    assert len(changing) > 100
    for provider, _, model in changing:
        kept = asked_by_keywords(provider, model.id, {"max_tokens": 90}, BOOK.media)
        kept.stated = True
        for moment in boundaries(model):
            for at in (moment - timedelta(microseconds=1), moment):
                asked = prepared(kept, BOOK).holding({"prompt": "Hello there", "max_tokens": 90})
                found = quote(asked, Terms(at), BOOK)
                facts = {**asked.facts(), **found.usage.to_dict()}
                cost = BOOK.price(Event(asked.event_name, "", "", at, facts)).cost
                assert (found.cost and found.cost.expected.amount) == cost, (model.id, at)
