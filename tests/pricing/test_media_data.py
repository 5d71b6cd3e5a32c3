"""Our own price lists: each row says where it is from, and none contradicts another."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tests.pricing.events import BOOK, NOON
from tokenmeter.pricing.media import DATA
from tokenmeter.pricing.media_words import PROVIDERS

ROWS = BOOK.media.rows


def test_every_row_has_a_source_and_a_date_that_has_come() -> None:
    assert len(ROWS) > 400
    for row in ROWS:
        assert row.origin.source
        assert datetime(2026, 1, 1, tzinfo=UTC) <= row.origin.as_of <= datetime.now(UTC)
        assert row.origin.confidence


def test_a_price_is_plausible_in_usd() -> None:
    for row in ROWS:
        usd = BOOK.media.usd(row, row.price, NOON)
        if usd is not None:
            assert 0 < usd / row.per < Decimal(5), row


def test_what_is_not_known_is_said_to_be_unknown_and_never_zero() -> None:
    unknown = {row.model for row in ROWS if row.price is None}
    assert {"ray-2", "dreamina-seedance-2-0-mini-260615"} <= unknown
    assert not [row for row in ROWS if row.price == 0]


def test_providers_are_named_in_our_words() -> None:
    assert {row.provider for row in ROWS}.isdisjoint(PROVIDERS)
    assert {row.provider for row in ROWS} >= {known.provider for known in PROVIDERS.values()}


def test_the_lists_are_part_of_the_package() -> None:
    assert DATA.parent.name == "pricing"
    assert {path.stem for path in DATA.glob("*.yaml")} >= {"openai", "google", "kling", "marble"}


def test_the_version_is_the_newest_date() -> None:
    newest = max(row.origin.as_of for row in ROWS)
    assert BOOK.media.version == f"media-{newest:%Y-%m-%d}"
