"""A quote is the price before the call: the same rows, a range where facts are open."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.pricing.events import BOOK, NOON
from tests.pricing.media_files import book
from tokenmeter.event import Property
from tokenmeter.pricing.media_quote import MediaQuote, billing_metrics, quote_rows


def quoted(provider: str, model: str, /, **facts: Property) -> MediaQuote:
    quote = quote_rows(provider, model, facts, at=NOON, prices=BOOK.media)
    assert quote is not None
    return quote


def test_an_exact_rule_gives_an_exact_quote_with_its_source() -> None:
    quote = quoted("openai", "dall-e-3", size="1024x1024", quality="hd", image_count=3)
    assert (quote.low, quote.high, quote.exact) == (Decimal("0.24"), Decimal("0.24"), True)
    assert [row.origin.as_of.year for row in quote.rows] == [2026]
    assert "docs.comfy.org" in quote.rows[0].origin.source


def test_variable_credits_are_a_range() -> None:
    quote = quoted("marble", "marble-1.1-plus", world_count=1)
    assert (quote.low, quote.high) == (Decimal("1.264"), Decimal("2.464"))
    assert not quote.exact
    assert "known only after the job" in quote.notes[-1]


def test_a_dimension_that_nobody_says_is_a_range() -> None:
    quote = quoted("byteplus", "seedance-1-5-pro-251215", video_tokens=1_000_000)
    assert (quote.low, quote.high) == (Decimal("1.2"), Decimal("2.4"))
    assert len(quote.rows) == 2
    said = quoted(
        "byteplus", "seedance-1-5-pro-251215", video_tokens=1_000_000, generate_audio="true"
    )
    assert said.low == said.high == Decimal("2.4")


def test_the_published_price_of_an_image_is_an_estimate() -> None:
    quote = quoted("openai", "gpt-image-1.5", size="1024x1024", quality="low", image_count=1)
    assert (quote.low, quote.estimate, quote.exact) == (Decimal("0.009"), True, False)


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        (
            {"size": "8x8", "image_count": 1},
            "dall-e-3 has no price per image_count for quality=standard, size=8x8",
        ),
        ({"size": "1024x1024", "image_count": -1}, "image_count is not between 0 and"),
        ({"size": "1024x1024"}, "dall-e-3 is billed by image_count: none is given"),
    ],
)
def test_what_has_no_price_says_why(facts: dict[str, Property], note: str) -> None:
    quote = quoted("openai", "dall-e-3", **facts)
    assert (quote.low, quote.high, quote.exact) == (None, None, False)
    assert quote.notes[0].startswith(note)


def test_a_model_that_no_list_knows_is_left_to_the_token_prices() -> None:
    assert quote_rows("openai", "gpt-4o", {}, at=NOON, prices=BOOK.media) is None
    assert billing_metrics("openai", "gpt-4o", BOOK.media) == ()


@pytest.mark.parametrize(
    ("provider", "model", "metrics"),
    [
        ("openai", "dall-e-3", ("image_count",)),
        ("openai", "gpt-image-1", ("image_count",)),
        ("kling", "kling-v3", ("video_seconds", "image_count")),
        ("byteplus", "seedance-1-5-pro-251215", ("video_tokens",)),
        ("byteplus", "doubao-seedance-2-0-260128", ("video_tokens", "video_seconds")),
        ("happyhorse", "happyhorse-1.0/video", ("video_jobs",)),
    ],
)
def test_what_a_model_is_billed_by_can_be_asked(
    provider: str, model: str, metrics: tuple[str, ...]
) -> None:
    assert billing_metrics(provider, model, BOOK.media) == metrics


def test_not_every_combination_has_to_have_a_price(tmp_path: Path) -> None:
    prices = book(
        tmp_path,
        """
        - {when: {size: s, tier: a}, price: 1}
        - {when: {size: m, tier: b}, price: 2}
        - {when: {size: l, tier: b}, price: unknown}
        """,
    )
    quote = quote_rows("acme", "draw", {"image_count": 1}, at=NOON, prices=prices.media)
    assert quote is not None
    assert (quote.low, quote.high) == (Decimal(1), Decimal(2))
    none = quote_rows(
        "acme", "draw", {"image_count": 1, "size": "x"}, at=NOON, prices=prices.media
    )
    assert none is not None
    assert none.low is None
    assert len(none.notes) == 2
