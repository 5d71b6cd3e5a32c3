"""A formula gives what the long way gives, to the last digit, for whatever an event holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.types import ModelInfo  # noqa: TC002  Hypothesis reads the annotations
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.events import BOOK, NOON, event
from tests.pricing.media_files import written
from tests.pricing.test_bad_input import ANYTHING, FACTS
from tests.pricing.test_equality import FULL, MODELS, TERMS, Split, boundaries, splits, starts
from tokenmeter.event import Event, Property
from tokenmeter.pricing import formula, formulas
from tokenmeter.pricing.card import QUANTITY_MAX
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.priced import AMOUNTS, amount_text
from tokenmeter.usage import METRICS

CHAT: dict[str, Property] = {
    "provider": "openai",
    "model": "gpt-4o-mini-2024-07-18",
    "operation": "chat.completions",
    "service_tier": "default",
    "input_tokens": 1_200,
    "output_tokens": 300,
    "total_tokens": 1_500,
    "cache_read_tokens": 200,
    "input_audio_tokens": 0,
    "request_count": 1,
    "outcome": "success",
}


def total(asked: Event) -> int | None:
    found = BOOK._formulas.of(asked)
    return found.total(asked.properties) if isinstance(found, formula.Formula) else None


def assert_same(asked: Event) -> None:
    short, long = BOOK.priced(asked), asked.holding(BOOK._with_cost(asked))
    assert (short, list(short.properties)) == (long, list(long.properties))
    assert BOOK.cost(asked) == BOOK.price(asked).cost


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(MODELS),
    splits,
    st.sets(st.sampled_from(sorted(METRICS))),
    st.datetimes(datetime(2023, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(sorted(TERMS)),
)
def test_any_usage_of_any_model_is_priced_alike(
    named: tuple[str, str, ModelInfo],
    split: Split,
    absent: set[str],
    at: datetime,
    terms: tuple[str, str],
) -> None:
    usage = {metric: n for metric, n in split.usage().items() if metric not in absent}
    tier, speed = terms
    asked: dict[str, Property] = {"provider": named[0], "model": named[2].id, **usage}
    assert_same(event(at, "text_generated", **asked, service_tier=tier, speed=speed))


@settings(max_examples=600, deadline=None)
@given(FACTS, st.sampled_from(["text_generated", "image_generated"]))
def test_what_makes_no_sense_is_priced_alike(facts: dict[str, Property], name: str) -> None:
    assert_same(event(NOON, name, **facts))
    assert_same(event(NOON, name, **{"input_tokens": 7, "output_tokens": 3, **facts}))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(CHAT)),
    ANYTHING,
    st.sampled_from(["gpt-4o", "gpt-5", "gpt-4o-audio-preview", "o3", "gpt-99"]),
)
def test_one_odd_property_in_a_usual_event_is_priced_alike(
    name: str, odd: Property, model: str
) -> None:
    assert_same(event(**{**CHAT, "model": model, name: odd}))


def whole(named: tuple[str, str, ModelInfo], split: Split = FULL) -> dict[str, Property]:
    return {"provider": named[0], "model": named[2].id, **split.usage()}


def test_every_model_is_priced_alike_on_every_tier() -> None:
    for named in MODELS:
        for tier, speed in TERMS if named[2].price_variants else [("default", "standard")]:
            assert_same(event(**whole(named), service_tier=tier, speed=speed))


def test_prices_change_at_the_same_moment() -> None:
    for named in MODELS:
        for moment in boundaries(named[2]):
            for at in (moment - timedelta(microseconds=1), moment):
                assert_same(event(at, "text_generated", **whole(named)))


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_long_prompt_changes_the_rates_at_the_same_token(beyond: int) -> None:
    for named in MODELS:
        for start in starts(named[2]):
            split = Split(text=start + beyond - 300, cached_text=100, written=200, said=50)
            assert_same(event(**whole(named, split)))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"provider": "anthropic", "model": "claude-sonnet-4-5-20250929", "web_search_count": 0},
        {"provider": "anthropic", "model": "claude-opus-4-6", "inference_geo": "us"},
        {"provider": "google", "model": "gemini-2.5-pro", "input_tokens": 250_000},
        {"provider": "google", "model": "gemini-2.5-flash"},
        {"provider": "deepseek", "model": "deepseek-chat"},
        {"tag_team": "a", "run_id": "r", "feature": "chat"},
    ],
)
def test_usual_calls_have_a_formula(change: dict[str, Property]) -> None:
    asked = event(**{**CHAT, **change})
    assert total(asked)
    assert_same(asked)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "failed"},
        {"operation": "messages.count_tokens"},
        {"reported_cost_usd": "0.01"},
        {"provider_credits": 5},
        {"cost_source": "unpriced"},
        {"cache_write_12h_tokens": 4},
        {"tokens": 4},
        {"model": "gpt-image-1"},
        {"cache_read_tokens": 1_201},
        {"input_tokens": Decimal(1_200)},
        {"input_tokens": True},
        {"provider": "google", "model": "gemini-2.5-pro", "input_tokens": Decimal(250_000)},
        {"input_tokens": -1},
        {"output_tokens": QUANTITY_MAX + 1},
        {"provider": "perplexity", "model": "sonar"},
        {"provider": "groq", "model": "whisper-large-v3", "audio_seconds": 3},
        {"model": "chatgpt-image-latest"},
        {"provider": "deepseek", "model": "deepseek-chat", "web_search_count": 2},
    ],
)
def test_what_is_unusual_goes_the_long_way(change: dict[str, Property]) -> None:
    asked = event(**{**CHAT, **change})
    assert total(asked) is None
    assert_same(asked)


def test_the_largest_amount_is_exact_and_what_is_larger_goes_the_long_way() -> None:
    largest = dict.fromkeys(("input_tokens", "output_tokens"), QUANTITY_MAX)
    asked = event(**{**CHAT, **largest, "model": "o1-pro"})
    assert total(asked)
    assert_same(asked)
    dear = formula.Formula((("input_tokens", 10**13),), (), (), 0, {})
    assert dear.total({"input_tokens": QUANTITY_MAX - 1}) == (QUANTITY_MAX - 1) * 10**13
    assert dear.total({"input_tokens": QUANTITY_MAX}) is None


def test_a_value_that_cannot_be_a_key_goes_the_long_way() -> None:
    model: Property = ["gpt-4o"]  # type: ignore[assignment]
    assert_same(event(**{**CHAT, "model": model}))


LOCAL: dict[str, Property] = {"provider": "ollama", "model": "llama3.2:3b", "request_model": "x"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (LOCAL, "no token price list for provider 'ollama'"),
        ({**LOCAL, "provider": "llm.internal:8000"}, "no token price list for provider 'llm.int"),
        ({"model": "gpt-99"}, "no token price for 'gpt-99' of provider 'openai'"),
        ({"provider": "kling", "model": "kling-v99"}, "no price for 'kling-v99' of provider"),
        ({"service_tier": "scale"}, "service tier scale is paid by commitment, not per call"),
        ({"provider": ""}, "the event names no provider"),
        ({"model": ""}, "the event names no model"),
    ],
)
def test_what_nobody_has_a_price_for_has_its_reason_at_once(
    change: dict[str, Property], reason: str
) -> None:
    asked = event(**{**CHAT, **change})
    assert isinstance(BOOK._formulas.of(asked), formulas.Unpriced)
    for number in (0, 7, Decimal("0.5"), -1, QUANTITY_MAX + 1):
        assert_same(event(**{**CHAT, **change, "input_tokens": number, "tag_a": "x"}))
    found = BOOK.priced(asked).properties
    assert str(found["unpriced_reason"]).startswith(reason)
    assert "cost_usd" not in found


def test_what_has_no_price_list_may_be_refused_or_say_its_cost() -> None:
    for change in ({"outcome": "failed"}, {"outcome": "failed", "http_status": "400"}):
        assert_same(event(**{**CHAT, **LOCAL, **change, "usage_source": "missing"}))
    said = event(**{**CHAT, **LOCAL, "reported_cost_usd": "0.25"})
    assert_same(said)
    assert BOOK.cost(said) == Decimal("0.25")
    free = event(**{**CHAT, **LOCAL, "operation": "moderations"})
    assert_same(free)
    assert BOOK.cost(free) == 0


def test_an_own_price_for_a_local_model_goes_before_the_reason(tmp_path: Path) -> None:
    own = PriceBook(written(tmp_path, OWN.replace("openai", "ollama").replace("gpt-4o-", "llama")))
    asked = event(**{**CHAT, **LOCAL, "model": "llamamini"})
    assert BOOK.cost(asked) is None
    assert own.cost(asked) == Decimal(5)


def test_users_prices_go_before_formulas(tmp_path: Path) -> None:
    own = PriceBook(written(tmp_path, OWN))
    assert BOOK.cost(event(**CHAT)) == Decimal("0.000345")
    assert own.cost(event(**CHAT)) == Decimal(5)
    assert own.priced(event(**CHAT)).properties["cost_usd"] == "5"


OWN = """
    lists:
      - provider: openai
        source: a contract
        as_of: 2026-11-01
        metric: request_count
        model: gpt-4o-mini*
        prices:
          - {price: 5}
"""


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulas, "KINDS_MAX", 4)
    monkeypatch.setattr(formulas, "RULES_MAX", 3)
    book = PriceBook()
    for number in range(20):
        asked = event(**CHAT, **{f"tag_{number}": "x"})
        assert book.with_cost(asked) == book._with_cost(asked)
        named = event(**{**CHAT, "service_tier": f"tier-{number}"})
        assert book.with_cost(named) == book._with_cost(named)
        kinds = book._formulas._kinds
        assert len(kinds) <= 4
        assert all(kind is None or len(kind.rules) <= 3 for kind in kinds.values())
        unknown = event(**{**CHAT, "model": f"my-model-{number}"})
        assert book.with_cost(unknown) == book._with_cost(unknown)


@pytest.mark.parametrize("scale", [0, 1, 4, 9])
def test_amounts_are_written_as_ever(scale: int) -> None:
    for amount in (0, 1, 9, 10, 99, 100, 1_000, 123_450, 10**9, 10**27 + 5):
        written = formula.Formula((), (), (), scale, {}).text(amount)
        assert written == amount_text(AMOUNTS.scaleb(Decimal(amount), -scale))
