"""Our walk over the rates gives what genai-prices gives, to the last digit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, StartDateConstraint, TieredPrices, TimeOfDateConstraint
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.events import NOON, event, priced
from tokenmeter.pricing.names import FAST_FACTORS, MORE_RATES, PROVIDERS
from tokenmeter.usage import Number

OUR_NAMES = {theirs: ours for ours, theirs in PROVIDERS.items() if theirs != "google"}
MODELS = [
    (OUR_NAMES.get(provider.id, provider.id), provider.id, model)
    for provider in providers
    for model in provider.models
    if model.id not in MORE_RATES
]
GROUNDED_ONCE = re.compile(r"gemini-[12]\.")
# Our service tier and speed, and what genai-prices takes for them.
TERMS: dict[tuple[str, str], dict[str, str]] = {
    ("default", "standard"): {},
    ("ON_DEMAND", "standard"): {},
    ("flex", "standard"): {"service_tier": "flex"},
    ("ON_DEMAND_FLEX", "standard"): {"service_tier": "flex"},
    ("priority", "standard"): {"service_tier": "priority"},
    ("fast", "standard"): {"service_tier": "fast"},
    ("batch", "standard"): {"processing": "batch"},
    ("standard", "fast"): {"speed": "fast"},
}
BATCH = {"processing": "batch"}
THEIR_NAMES = {
    "cache_read_text_tokens": "cache_text_read_tokens",
    "cache_read_audio_tokens": "cache_audio_read_tokens",
    "cache_read_image_tokens": "cache_image_read_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "characters": "input_characters",
    "web_search_count": "web_searches",
}

tokens = st.one_of(st.just(0), st.integers(1, 300), st.integers(1, 400_000))


@dataclass(frozen=True)
class Split:
    """Disjoint parts of a usage, and the totals that follow from them."""

    text: int = 0
    audio: int = 0
    image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    written_5m: int = 0
    written_1h: int = 0
    written: int = 0
    said: int = 0
    reasoned: int = 0
    spoken: int = 0
    drawn: int = 0
    characters: int = 0
    seconds: Number = 0
    searches: int = 0

    def usage(self) -> dict[str, Number]:
        cached = self.cached_text + self.cached_audio + self.cached_image
        audio, image = self.audio + self.cached_audio, self.image + self.cached_image
        written = self.written + self.written_5m + self.written_1h
        return {
            "input_tokens": self.text + audio + image + self.cached_text + written,
            "output_tokens": self.said + self.reasoned + self.spoken + self.drawn,
            "cache_read_tokens": cached,
            "cache_read_text_tokens": self.cached_text,
            "cache_read_audio_tokens": self.cached_audio,
            "cache_read_image_tokens": self.cached_image,
            "cache_write_tokens": written,
            "cache_write_5m_tokens": self.written_5m,
            "cache_write_1h_tokens": self.written_1h,
            "input_audio_tokens": audio,
            "input_image_tokens": image,
            "reasoning_tokens": self.reasoned,
            "output_audio_tokens": self.spoken,
            "output_image_tokens": self.drawn,
            "characters": self.characters,
            "audio_seconds": self.seconds,
            "web_search_count": self.searches,
        }


splits = st.builds(
    Split,
    *[tokens] * 14,
    st.one_of(
        st.integers(0, 9_000),
        st.decimals(0, 9_000, places=3, allow_nan=False, allow_infinity=False),
    ),
    st.integers(0, 50),
)


@dataclass(frozen=True)
class Case:
    ours: str
    theirs: str
    model: ModelInfo
    usage: Mapping[str, Number] = field(default_factory=dict[str, Number])
    at: datetime = NOON
    tier: str = "default"
    speed: str = "standard"


def context_of(case: Case) -> dict[str, str]:
    """What genai-prices is asked for; Google's flex as its batch, where it knows that alone."""
    context = TERMS[case.tier, case.speed]
    known = [variant.when for variant in case.model.price_variants or ()]
    is_flex = case.theirs == "google" and context == {"service_tier": "flex"}
    return (
        {"processing": "batch"} if is_flex and BATCH in known and context not in known else context
    )


def told_at(case: Case) -> datetime:
    """
    When genai-prices first says what the asked terms cost, if standard prices were the same.

    It took most of them up in October 2026; they were given long before.
    """
    terms = {*context_of(case).items()}

    def says(at: datetime) -> bool:
        active = [v.when for v in case.model.price_variants or () if is_active(v.constraint, at)]
        return all(any(when.get(key) == value for when in active) for key, value in terms)

    if says(case.at):
        return case.at
    standard = case.model.get_prices(case.at)
    later = (at for at in sorted(boundaries(case.model)) if at > case.at and says(at))
    first = next(later, case.at)
    return first if case.model.get_prices(first) == standard else case.at


def is_active(constraint: StartDateConstraint | TimeOfDateConstraint | None, at: datetime) -> bool:
    return constraint is None or constraint.active(at)


def calculated(case: Case) -> Decimal:
    usage = {THEIR_NAMES.get(name, name): number for name, number in case.usage.items()}
    usage["input_audio_seconds"] = usage["audio_seconds"]
    if case.theirs == "google" and GROUNDED_ONCE.match(case.model.id) and case.tier != "batch":
        usage["web_searches"] = min(1, usage["web_searches"])  # that, it does not know
    price = genai_prices.calc_price(
        genai_prices.Usage(**usage),
        case.model.id,
        provider_id=case.theirs,
        genai_request_timestamp=told_at(case),
        price_context=context_of(case) or None,
    )
    return price.total_price


def _is_priority_by_us(case: Case) -> bool:
    if case.tier != "priority" or not case.model.id.startswith("gemini-"):
        return False
    known = [variant.when for variant in case.model.price_variants or ()]
    return case.theirs == "google" and {"service_tier": "priority"} not in known


def assert_equal(case: Case) -> None:
    if ("-search-" in case.model.id or case.ours == "azure") and case.usage.get(
        "web_search_count"
    ):
        return  # genai-prices has other rates for these searches, or none: test_tools.py
    if (case.speed == "fast" and case.model.id in FAST_FACTORS) or _is_priority_by_us(case):
        return  # genai-prices has standard rates alone; test_parts.py says what they cost
    got = priced(
        case.at,
        provider=case.ours,
        model=case.model.id,
        service_tier=case.tier,
        speed=case.speed,
        request_count=1,
        **case.usage,
    )
    try:
        wanted = calculated(case)
    except LookupError:
        assert got.source == "unpriced"
        return
    if got.cost is None:
        # A price list without a price is 0 to genai-prices, and unpriced to us.
        prepaid = (case.ours, case.tier) == ("anthropic", "priority")
        assert prepaid or (wanted == 0 and "has no rate for" in (got.reason or ""))
    else:
        assert got.cost == wanted
        assert sum(line.amount for line in got.lines) == wanted


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(MODELS),
    splits,
    st.datetimes(datetime(2023, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(sorted(TERMS)),
)
def test_any_usage_of_any_model_costs_what_genai_prices_calculates(
    named: tuple[str, str, ModelInfo], split: Split, at: datetime, terms: tuple[str, str]
) -> None:
    assert_equal(Case(*named, split.usage(), at, *terms))


FULL = Split(
    text=1_001,
    audio=1_002,
    image=1_003,
    cached_text=1_004,
    cached_audio=1_005,
    cached_image=1_006,
    written_5m=1_007,
    written_1h=1_008,
    written=1_009,
    said=1_010,
    reasoned=1_011,
    spoken=1_012,
    drawn=1_013,
    characters=1_014,
    seconds=61,
    searches=3,
)


def test_rates_are_added_only_where_genai_prices_has_none() -> None:
    added = [model for each in providers for model in each.models if model.id in MORE_RATES]
    assert added
    for model in added:
        known = model.get_prices(NOON).__dict__
        assert all(known.get(key) is None for key in MORE_RATES[model.id])


def test_every_model_costs_what_genai_prices_calculates_on_every_tier() -> None:
    for named in MODELS:
        for terms in TERMS if named[2].price_variants else [("default", "standard")]:
            assert_equal(Case(*named, FULL.usage(), NOON, *terms))


def boundaries(model: ModelInfo) -> list[datetime]:
    entries = [*(model.prices if isinstance(model.prices, list) else [])]
    constraints = [entry.constraint for entry in (*entries, *(model.price_variants or ()))]
    found: list[datetime] = []
    for constraint in constraints:
        if isinstance(constraint, StartDateConstraint):
            found.append(datetime.combine(constraint.start_date, datetime.min.time(), UTC))
        elif isinstance(constraint, TimeOfDateConstraint):
            found.extend(
                datetime.combine(NOON.date(), hour.replace(tzinfo=hour.tzinfo or UTC))
                for hour in (constraint.start_time, constraint.end_time)
            )
    return found


def test_prices_change_at_the_very_moment_that_genai_prices_says() -> None:
    changing = [named for named in MODELS if boundaries(named[2])]
    assert len(changing) > 100
    for named in changing:
        for moment in boundaries(named[2]):
            for at in (moment - timedelta(microseconds=1), moment):
                assert_equal(Case(*named, FULL.usage(), at, "batch"))
                assert_equal(Case(*named, FULL.usage(), at, "priority"))


def starts(model: ModelInfo) -> set[int]:
    entries = model.prices if isinstance(model.prices, list) else []
    prices = [entry.prices for entry in entries] or [model.get_prices(NOON)]
    return {
        tier.start
        for price in prices
        for value in price.__dict__.values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_long_prompt_changes_the_rates_one_token_past_the_bound(beyond: int) -> None:
    tiered = [(named, start) for named in MODELS for start in starts(named[2])]
    assert len(tiered) > 50
    for named, start in tiered:
        split = Split(text=start + beyond - 300, cached_text=100, written=200, said=50)
        assert_equal(Case(*named, split.usage()))


def test_vertex_and_google_share_a_price_list() -> None:
    usage: dict[str, Number] = {"input_tokens": 900, "output_tokens": 40}
    vertex = priced(provider="google-vertex", model="claude-sonnet-4-5@20250929", **usage)
    assert (
        vertex.cost
        == genai_prices.calc_price(
            genai_prices.Usage(**usage),
            "claude-sonnet-4-5@20250929",
            provider_id="google",
            genai_request_timestamp=event().timestamp,
        ).total_price
    )
