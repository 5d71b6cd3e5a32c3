"""What tools of the provider cost, and what is said where nobody can know it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.pricing.events import event, priced
from tokenmeter.event import Property
from tokenmeter.pricing.names import CONTAINER_TIME, UNTOLD
from tokenmeter.pricing.pricebook import PriceBook

TOKENS: dict[str, Property] = {"input_tokens": 1_000_000, "output_tokens": 0}
GPT5: dict[str, Property] = {"provider": "openai", "model": "gpt-5", **TOKENS}


def test_a_search_of_files_costs_2_50_for_a_thousand() -> None:
    assert priced(**GPT5).cost == Decimal("1.25")
    assert priced(**GPT5, file_search_count=4).cost == Decimal("1.26")


def test_a_search_for_which_a_price_list_has_no_rate_is_said() -> None:
    nano = priced(**{**GPT5, "model": "gpt-4.1-nano"}, file_search_count=4)
    assert nano.cost == Decimal("0.1")
    assert nano.reason == "file_search_count has no rate in the price book"


def test_azure_bills_such_a_search_as_openai_does() -> None:
    azure: dict[str, Property] = {**GPT5, "provider": "azure"}
    assert priced(**azure, file_search_count=4).cost == Decimal("1.26")


def test_the_time_of_a_container_is_said_to_be_missing_from_the_cost() -> None:
    got = priced(**GPT5, container_id="cntr_1", memory_limit="4g", code_execution_count=2)
    assert (got.cost, got.reason) == (Decimal("1.25"), CONTAINER_TIME)
    claude: dict[str, Property] = {"provider": "anthropic", "model": "claude-sonnet-5", **TOKENS}
    assert priced(**claude).reason is None
    assert priced(**claude, code_execution="true").reason == CONTAINER_TIME


def test_a_container_that_is_made_by_itself_is_unpriced_and_says_why() -> None:
    got = priced(provider="openai", operation="containers", container_count=1)
    assert (got.cost, got.reason) == (None, UNTOLD["containers"])


def gemini(model: str, provider: str = "google", **found: Property) -> Decimal | None:
    return priced(**{"provider": provider, "model": model, "input_tokens": 0, **found}).cost


def test_grounding_in_maps_is_billed_by_the_prompt_up_to_gemini_2_5_and_by_the_query_since() -> (
    None
):
    for provider in ("google", "google-vertex"):
        assert gemini("gemini-2.5-flash", provider, maps_grounding_count=3) == Decimal("0.025")
        assert gemini("gemini-3.5-flash", provider, maps_grounding_count=3) == Decimal("0.042")
    both = gemini("gemini-2.5-flash", web_search_count=2, maps_grounding_count=1)
    assert both == Decimal("0.035") + Decimal("0.025")


def test_a_search_of_a_file_store_is_free_on_the_gemini_api_and_unknown_on_vertex() -> None:
    usage: dict[str, Property] = {"model": "gemini-2.5-flash", "input_tokens": 1_000_000}
    free = priced(provider="google", file_search_count=1, **usage)
    assert (free.cost, free.reason) == (Decimal("0.3"), None)
    vertex = priced(provider="google-vertex", file_search_count=1, **usage)
    assert vertex.cost == Decimal("0.3")
    assert vertex.reason == "file_search_count has no rate in the price book"


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("gpt-4o-search-preview-2025-03-11", "0.025"),
        ("gpt-4o-mini-search-preview", "0.025"),
        ("gpt-5-search-api", "0.01"),
        ("gpt-4.1", "0.01"),
    ],
)
def test_a_search_of_the_web_costs_what_the_model_s_own_row_says(model: str, rate: str) -> None:
    tokens: dict[str, Property] = {"provider": "openai", "model": model, "input_tokens": 0}
    assert priced(**tokens, web_search_count=2).cost == 2 * Decimal(rate)


def test_a_search_of_the_web_has_a_price_of_azures_own() -> None:
    azure: dict[str, Property] = {"provider": "azure", "model": "gpt-5", "input_tokens": 0}
    assert priced(**azure, web_search_count=1).cost == Decimal("0.014")


def test_the_first_tool_for_searches_costs_more_with_a_model_that_does_not_reason() -> None:
    usage: dict[str, Property] = {"provider": "openai", "input_tokens": 0, "web_search_count": 1}
    for model, rate in (("gpt-4.1-mini", "0.025"), ("gpt-4o", "0.025"), ("gpt-5", "0.01")):
        assert priced(**usage, model=model, web_search="preview").cost == Decimal(rate)
        assert priced(**usage, model=model).cost == Decimal("0.01")


def test_the_formula_of_many_events_knows_the_tool_as_well() -> None:
    book = PriceBook()
    for tool, cost in ((None, "0.01"), ("preview", "0.025"), (None, "0.01")):
        told: dict[str, Property] = {} if tool is None else {"web_search": tool}
        for _ in range(3):
            made = event(provider="openai", model="gpt-4.1", **TOKENS, web_search_count=1, **told)
            assert book.cost(made) == Decimal("2") + Decimal(cost)
