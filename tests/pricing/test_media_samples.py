"""The media samples, from the wire to what the provider bills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.providers.media import played, samples
from tests.providers.sample_steps import PROVIDERS, steps

ROWS = samples(*PROVIDERS)
# What each sample costs by list. None: no price is known, and why is said.
COSTS: dict[str, str | None] = {
    "s09": "0.000472",  # the language model's tokens alone; the image was blocked
    "s04": "0.036594",  # text out at 10, images out at 32 USD a million
    "s13": "0.4",  # four new seconds of Sora
    "s12": None,  # whether OpenAI bills a failed video is not known
    "s02": "0.12",
    "s03": "0.16665",  # 4,160 image tokens at 40, 50 of text at 5 USD a million
    "s07": "0.21679",
    "s17": "0.0000036",
    "s15": "0.243736",  # 2,000 image tokens at 120, 310 of thoughts at 12 USD a million
    "s21": "0",
    "s18": "1.013615",
    "s22": "0",
    "s23": "0.12",  # three images of four
    "s27": "0",
    "s28": "0",
    "s24": "0.26136",
    "s29": "0.0729192",  # a draft: its tokens are reduced already
    "s30": "0.26136",
    "s33": "0.42",  # three units
    "s32": "0.35",  # two and a half
    "s37": "0.6",
    "s40": "2.6592",  # input and output seconds
    "s41": "0",
    "s43": "2.4",
    "s44": "1.28",  # 1,600 credits
    "s46": "0",
    "s49": "0.04",
}
REPORTED = ("s32", "s33", "s37", "s44", "s49")


@pytest.mark.skipif(not ROWS, reason="no media samples")
@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in ROWS])
def test_a_sample_costs_what_the_lists_say(sample: Any) -> None:
    for event in played(*steps(sample)).events:
        properties = event.properties
        cost = properties.get("cost_usd")
        assert cost is not None or properties["unpriced_reason"]
        assert cost is None or 0 <= Decimal(cost) < 10
        assert "cost_drift" not in properties  # what is charged is what the list says
        if sample["id"] in COSTS:
            assert cost == COSTS[sample["id"]]
            reported = properties["cost_source"] == "reported"
            assert reported is (sample["id"] in REPORTED)
