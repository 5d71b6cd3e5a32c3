"""The rules of the price book: what is billed, by whom it is said, and what stays unpriced."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.pricing.events import BOOK, event, priced
from tokenmeter.event import Property
from tokenmeter.pricing.pricebook import COST_PROPERTIES, PriceBook, price_event
from tokenmeter.pricing.tokens import TARIFFS_MAX

CHAT: dict[str, Property] = {
    "provider": "openai",
    "model": "gpt-4o-2024-08-06",  # $2.50 and $10 a million
    "input_tokens": 1_000,
    "output_tokens": 100,
}


def test_a_priced_event_carries_cost_source_and_book() -> None:
    properties = price_event(event(**CHAT)).properties
    assert {k: v for k, v in properties.items() if k in COST_PROPERTIES} == {
        "cost_usd": "0.0035",
        "cost_source": "computed",
        "pricebook_version": BOOK.version,
    }
    assert BOOK.version.startswith("genai-prices-")


def test_what_is_not_about_cost_stays_as_it_was() -> None:
    before = event(**CHAT, feature="chat")
    after = price_event(before)
    assert {k: v for k, v in after.properties.items() if k not in COST_PROPERTIES} == dict(
        before.properties
    )
    assert replace(after, properties={}) == replace(before, properties={})


def test_an_unpriced_event_has_a_reason_and_no_cost() -> None:
    properties = price_event(event(**{**CHAT, "provider": "llm.acme.example"})).properties
    assert "cost_usd" not in properties
    assert properties["cost_source"] == "unpriced"
    assert properties["unpriced_reason"] == "no token price list for provider 'llm.acme.example'"


@pytest.mark.parametrize("provider", ["localhost", "my-openai", "google-proxy", "OpenAI"])
def test_a_known_model_of_an_unknown_provider_is_not_priced(provider: str) -> None:
    assert priced(**{**CHAT, "provider": provider}).cost is None


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({}, "the event names no provider"),
        ({"provider": "openai", "input_tokens": 5}, "the event names no model"),
        ({**CHAT, "model": "gpt-99"}, "no token price for 'gpt-99' of provider 'openai'"),
        ({"provider": "openai", "model": "gpt-4o", "request_count": 1}, "no usage was reported"),
        (
            {"provider": "openai", "model": "gpt-4o", "image_count": 1, "request_count": 1},
            "gpt-4o has no rate for image_count",
        ),
        (
            {"provider": "openai", "model": "whisper-1", "input_tokens": 9},
            "whisper-1 has no rate for input_tokens",
        ),
        (
            {**CHAT, "service_tier": "scale"},
            "service tier scale is paid by commitment, not per call",
        ),
        (
            {**CHAT, "cache_read_tokens": 1_001},
            "the parts of input_tokens add up to more than input_tokens=1000",
        ),
    ],
)
def test_what_cannot_be_priced_says_why(properties: dict[str, Property], reason: str) -> None:
    got = priced(**properties)
    assert (got.cost, got.source, got.reason) == (None, "unpriced", reason)


def test_an_explicit_zero_is_a_usage_and_costs_zero() -> None:
    got = priced(provider="openai", model="gpt-4o", input_tokens=0)
    assert (got.cost, got.source) == (Decimal(0), "computed")


REFUSED: dict[str, Property] = {
    "provider": "openai",
    "model": "gpt-4o",
    "outcome": "failed",
    "usage_source": "missing",
    "http_status": "429",
}


@pytest.mark.parametrize(
    ("change", "source"),
    [
        ({}, "computed"),
        ({"http_status": "400"}, "computed"),
        ({"http_status": "599"}, "computed"),
        ({"provider": "llm.acme.example"}, "computed"),
        ({"model": "tts-1", "characters": 500, "usage_source": "estimated"}, "computed"),
        ({"http_status": "200"}, "unpriced"),  # an error inside the answer
        ({"http_status": "399"}, "unpriced"),
        ({"http_status": "5"}, "unpriced"),
        ({"http_status": ""}, "unpriced"),  # a timeout: the provider may have worked
        ({"outcome": "success", "http_status": "200"}, "unpriced"),
        ({"outcome": "unknown"}, "unpriced"),
    ],
)
def test_only_an_http_error_without_reported_usage_costs_nothing(
    change: dict[str, Property], source: str
) -> None:
    got = priced(**{**REFUSED, **change})
    assert (got.source, got.cost) == (source, Decimal(0) if source == "computed" else None)
    assert got.reason


def test_a_failed_attempt_with_reported_usage_is_priced() -> None:
    got = priced(**{**CHAT, "outcome": "failed", "usage_source": "reported", "http_status": "500"})
    assert got.cost == Decimal("0.0035")


@pytest.mark.parametrize("operation", ["messages.count_tokens", "moderations"])
def test_a_free_operation_costs_nothing_though_it_counts_tokens(operation: str) -> None:
    assert priced(**CHAT, operation=operation).cost == 0


def test_the_reported_cost_wins_and_the_computed_one_stands_beside_it() -> None:
    properties = price_event(event(**CHAT, reported_cost_usd="0.0036")).properties
    assert properties["cost_usd"] == "0.0036"
    assert properties["cost_source"] == "reported"
    assert properties["computed_cost_usd"] == "0.0035"
    assert "cost_drift" not in properties


@pytest.mark.parametrize(
    ("reported", "drift"),
    [
        ("0.003675", None),  # 5 % more
        ("0.0036751", "1.0500"),
        ("0.003325", None),  # 5 % less
        ("0.0033249", "0.9500"),
        ("0.0070", "2.0000"),
        ("0", "0.0000"),
    ],
)
def test_reported_and_computed_drift_apart_beyond_five_per_cent(
    reported: str, drift: str | None
) -> None:
    assert priced(**CHAT, reported_cost_usd=reported).drift == drift


def test_a_charge_for_what_should_be_free_is_an_infinite_drift() -> None:
    assert priced(**REFUSED, reported_cost_usd="0.1").drift == "Infinity"
    assert priced(**REFUSED, reported_cost_usd="0").drift is None


def test_a_reported_cost_needs_no_price_list() -> None:
    properties = price_event(
        event(provider="vercel-gateway", model="x", reported_cost_usd=Decimal("1.50"))
    ).properties
    assert (properties["cost_usd"], properties["cost_source"]) == ("1.5", "reported")
    assert "computed_cost_usd" not in properties


@pytest.mark.parametrize("text", ["free", "NaN", "-1", "Infinity", "1e10", "1e-400", ""])
def test_a_reported_cost_that_is_no_amount_is_left_out_and_noted(text: str) -> None:
    properties = price_event(event(**CHAT, reported_cost_usd=text)).properties
    assert (properties["cost_usd"], properties["cost_source"]) == ("0.0035", "computed")
    assert properties["cost_note"] == "reported_cost_usd is not an amount in USD"


def test_pricing_again_replaces_every_trace_of_the_first_price() -> None:
    first = price_event(event(**CHAT, reported_cost_usd="1"))
    assert "cost_drift" in first.properties
    corrected = {k: v for k, v in first.properties.items() if k != "reported_cost_usd"}
    again = price_event(replace(first, properties={**corrected, "model": "gpt-99"}))
    assert {k for k in again.properties if k in COST_PROPERTIES} == {
        "cost_source",
        "unpriced_reason",
        "pricebook_version",
    }
    assert price_event(first) == first


def test_the_served_model_is_priced_not_the_asked_one() -> None:
    assert priced(**CHAT, request_model="gpt-4o-mini", model_type="gpt-4").cost == Decimal(
        "0.0035"
    )


def test_the_asked_model_is_priced_where_the_served_one_is_unknown() -> None:
    got = priced(**{**CHAT, "model": "prod-42"}, request_model="gpt-4o")
    assert got.cost == Decimal("0.0035")
    assert got.reason == "prod-42 is not in the price book: priced as gpt-4o"


def test_the_canonical_name_is_the_last_that_is_tried() -> None:
    asked = {"request_model": "gpt-99", "model_type": "gpt-4o"}
    assert priced(**{**CHAT, "model": "prod-42", **asked}).cost == Decimal("0.0035")


def test_a_path_before_the_model_is_no_other_model() -> None:
    path = "publishers/google/models/gemini-2.5-pro"
    got = priced(provider="google-vertex", model=path, model_type="gemini-2.5-pro", input_tokens=8)
    assert (got.model, got.reason) == ("gemini-2.5-pro", None)


def test_a_fine_tuned_model_is_never_priced_as_its_cheaper_base() -> None:
    tuned = {**CHAT, "model": "ft:gpt-9-2030-01-01:acme::x1", "model_type": "gpt-4o"}
    assert priced(**tuned).cost is None
    mini = {**CHAT, "model": "ft:gpt-4o-mini-2024-07-18:acme::x1", "model_type": "gpt-4o-mini"}
    assert priced(**mini).cost == Decimal("0.00042")  # $0.30 and $1.20


def test_a_routed_model_is_priced_by_the_host_it_names() -> None:
    usage: dict[str, Property] = {"input_tokens": 1_000, "provider": "huggingface"}
    served = "openai/gpt-oss-120b"
    assert priced(model=served, **usage).cost is None
    assert priced(model=served, request_model=f"{served}:groq", **usage).cost is not None
    assert priced(model=f"{served}:groq", **usage).cost is not None
    assert priced(model=f"{served}:nobody", **usage).cost is None


def test_lookups_are_kept_up_to_a_bound() -> None:
    book = PriceBook()
    for number in range(TARIFFS_MAX + 10):
        book.price(event(provider="nobody", model=f"m{number}"))
    assert book._tokens._tariff.cache_info().currsize == TARIFFS_MAX
