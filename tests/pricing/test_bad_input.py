"""Whatever an event holds, it gets a price or a reason; pricing never raises."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.events import NOON, event, priced
from tokenmeter.event import Property
from tokenmeter.pricing.card import QUANTITY_DIGITS_MAX, QUANTITY_MAX
from tokenmeter.pricing.names import METRICS
from tokenmeter.pricing.pricebook import price_event

NUMBERS = st.one_of(
    st.integers(-5, 10**6),
    st.integers(),
    st.decimals(),
    st.sampled_from([QUANTITY_MAX, QUANTITY_MAX + 1, Decimal("1E-999999"), Decimal("1E+999999")]),
)
ANYTHING = st.one_of(NUMBERS, st.booleans(), st.text(max_size=5))
FACTS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["openai", "anthropic", "google", "groq", "perplexity", ""]),
        "model": st.sampled_from(
            [
                "gpt-4o",
                "gpt-image-1.5",
                "claude-sonnet-4-5",
                "gemini-2.5-flash",
                "gemini-2.5-flash-image",
                "whisper-large-v3",
                "sonar",
                "",
            ]
        ),
    },
    optional={
        **dict.fromkeys([*METRICS.values(), "uncached_input_tokens", "tokens"], ANYTHING),
        "prompt_type": st.one_of(st.sampled_from(["input", "output"]), ANYTHING),
        "service_tier": st.one_of(st.sampled_from(["batch", "flex"]), st.text(max_size=5)),
        "speed": st.text(max_size=5),
        "inference_geo": st.sampled_from(["us", "global"]),
        "operation": st.text(max_size=5),
        "outcome": st.sampled_from(["success", "failed", "cancelled"]),
        "usage_source": st.sampled_from(["missing", "reported"]),
        "http_status": st.text(max_size=4),
        "reported_cost_usd": ANYTHING,
    },
)


@settings(max_examples=500, deadline=None)
@given(FACTS, st.sampled_from(["text_generated", "image_generated"]))
def test_any_event_is_priced_or_says_why_not(facts: dict[str, Property], name: str) -> None:
    properties = price_event(event(NOON, name, **facts)).properties
    cost = properties.get("cost_usd")
    if properties["cost_source"] == "unpriced":
        assert cost is None
        assert properties["unpriced_reason"]
    else:
        assert isinstance(cost, str)
        assert "E" not in cost
        assert len(cost) < 80
        assert Decimal(cost) >= 0


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        (-1, f"input_tokens is not between 0 and {QUANTITY_MAX}"),
        (QUANTITY_MAX + 1, f"input_tokens is not between 0 and {QUANTITY_MAX}"),
        (Decimal("NaN"), "input_tokens=NaN is not a quantity"),
        (True, "input_tokens is not a number"),
        ("12", "input_tokens is not a number"),
        (
            Decimal("1E-19"),
            f"input_tokens has more than {QUANTITY_DIGITS_MAX} decimal places",
        ),
    ],
)
def test_a_number_that_is_no_quantity_is_named(quantity: Property, reason: str) -> None:
    got = priced(provider="anthropic", model="claude-sonnet-4-5", input_tokens=quantity)
    assert (got.cost, got.reason) == (None, reason)


@pytest.mark.parametrize("largest", [QUANTITY_MAX, Decimal(QUANTITY_MAX)])
def test_the_largest_quantity_has_a_price(largest: Property) -> None:
    got = priced(provider="openai", model="gpt-4o", input_tokens=largest)
    assert got.cost == Decimal("2.5") * QUANTITY_MAX / 10**6
