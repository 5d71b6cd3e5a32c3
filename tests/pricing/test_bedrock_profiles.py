"""Bedrock's profiles: one that may serve anywhere is cheaper than a region's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.pricing.events import priced

SERVED = "claude-sonnet-4-5-20250929"  # what the answer of InvokeModel calls itself


@pytest.mark.parametrize(
    ("asked", "cost"),
    [
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "3"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.3"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "3.3"),
    ],
)
@pytest.mark.parametrize("served", [SERVED, None])
def test_the_profile_that_was_asked_for_decides_the_price(
    asked: str, cost: str, served: str | None
) -> None:
    model = {"model": served} if served else {}
    found = priced(provider="bedrock", request_model=asked, input_tokens=10**6, **model)
    assert found.cost == Decimal(cost)
