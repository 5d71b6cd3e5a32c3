"""What tools of the provider cost, and what is said where nobody can know it."""

from __future__ import annotations

from decimal import Decimal

from tests.pricing.events import priced
from tokenmeter.event import Property
from tokenmeter.pricing.names import CONTAINER_TIME, UNTOLD

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
