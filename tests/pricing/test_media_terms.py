"""Lists of one's own: windows, units, factors, patterns, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.pricing.events import NOON, event
from tests.pricing.media_files import book, drawn, written
from tokenmeter.event import Property
from tokenmeter.pricing.pricebook import PriceBook

MICROSECOND = timedelta(microseconds=1)


def test_a_price_holds_from_its_first_moment_up_to_its_last(tmp_path: Path) -> None:
    prices = book(
        tmp_path,
        """
        - {price: 1, valid_until: 2026-10-01}
        - {price: 2, valid_from: 2026-10-01, valid_until: "2026-11-01T00:00:00+01:00"}
        """,
    )
    change, end = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)
    image: dict[str, Property] = {"provider": "acme", "model": "draw", "image_count": 1}
    costs = [
        prices.price(event(at, **image)).computed
        for at in (change - MICROSECOND, change, end - MICROSECOND, end)
    ]
    assert costs == [1, 2, 2, None]


def test_a_unit_is_worth_what_it_was_worth_at_the_time(tmp_path: Path) -> None:
    prices = book(
        tmp_path,
        "- {price: 10, unit: token}",
        """
        provider: acme
        units:
          - {unit: token, usd: 0.5, source: x, as_of: 2026, valid_until: 2026-11-20}
          - {unit: token, per_usd: 4, source: x, as_of: 2026, valid_from: 2026-11-21}
        """,
    )
    image: dict[str, Property] = {"provider": "acme", "model": "draw", "image_count": 1}
    day = datetime(2026, 11, 19, tzinfo=UTC)
    costs = [prices.price(event(day + timedelta(days=n), **image)) for n in range(3)]
    assert [cost.computed for cost in costs] == [5, None, Decimal("2.5")]
    assert costs[1].reason == "acme's unit 'token' has no value in USD at this time"


def test_a_currency_is_for_all_providers(tmp_path: Path) -> None:
    prices = book(
        tmp_path,
        "- {price: 10, unit: EUR}",
        "units: [{unit: EUR, usd: 1.1, source: x, as_of: 2026}]",
    )
    assert drawn(prices).computed == 11


def test_factors_for_other_dimensions_multiply_and_for_the_same_ones_the_closest_wins(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        """
        lists:
          - {provider: acme, source: x, as_of: 2026, metric: image_count, models: [draw, draw-9],
             prices: [{price: 1}],
             factors: [{model: draw*, when: {tier: flex}, factor: 0.5},
                       {model: draw-9, when: {tier: flex}, factor: 0.25},
                       {model: draw-9, when: {tier: batch}, factor: 0.75},
                       {model: "*", when: {fps: 30}, factor: 1.2}]}
        """,
    )
    prices = PriceBook(path)
    assert drawn(prices).computed == 1
    assert drawn(prices, tier="flex").computed == Decimal("0.5")
    assert drawn(prices, tier="flex", fps=30).computed == Decimal("0.6")
    assert drawn(prices, model="draw-9", tier="flex").computed == Decimal("0.25")
    assert drawn(prices, model="draw-9", tier="batch").computed == Decimal("0.75")


def test_a_discount_of_ones_own_is_on_our_prices_too(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        lists:
          - provider: kling
            source: contract
            as_of: 2026-11-01
            factors:
              - {model: "*", factor: 0.9}
        """,
    )
    clip = event(provider="kling", model="kling-v3", resolution="4k", video_seconds=1)
    assert PriceBook(path).price(clip).computed == Decimal("0.378")
    nobody = event(provider="kling", model="kling-v9", video_seconds=1)
    assert PriceBook(path).price(nobody).computed is None


def test_a_credit_of_ones_own_reprices_our_rows(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "units: [{provider: marble, unit: credit, usd: 0.0005, source: x, as_of: 2026-11-01}]",
    )
    world = event(provider="marble", model="marble-1.1", world_count=1)
    assert PriceBook(path).price(world).computed == Decimal("0.79")


def test_the_closest_name_wins_then_the_longest_beginning_then_any(tmp_path: Path) -> None:
    prices = book(
        tmp_path,
        """
        - {model: draw-2, price: 1}
        - {model: draw-2*, price: 2}
        - {model: draw*, price: 3}
        - {model: "*", price: 4}
        """,
    )
    models = ("draw-2", "draw-2-fast", "draw-3", "paint")
    assert [drawn(prices, model=model).computed for model in models] == [1, 2, 3, 4]
    known: dict[str, Property] = {"model": "paint", "request_model": "draw-2"}
    assert drawn(prices, **known).computed == 1


def test_tokens_at_a_price_of_ones_own_are_charged_once(tmp_path: Path) -> None:
    rates = "".join(
        f"- {{provider: openai, model: gpt-4o, metric: {metric}, per: 1000000, price: {price}}}\n"
        for metric, price in (("input_tokens", 2), ("output_tokens", 8), ("cache_read_tokens", 1))
    )
    prices = book(tmp_path, rates)
    chat = event(
        provider="openai",
        model="gpt-4o",
        input_tokens=1_000_000,
        cache_read_tokens=400_000,
        output_tokens=100_000,
    )
    assert prices.price(chat).computed == Decimal("1.2") + Decimal("0.4") + Decimal("0.8")
    parts = {line.metric: line.quantity for line in prices.price(chat).lines}
    assert parts["input_tokens"] == 600_000


def test_a_price_for_any_number_of_units(tmp_path: Path) -> None:
    prices = book(tmp_path, "- {price: 1, per: 3}")
    got = drawn(prices, image_count=6)
    assert got.computed == 2
    assert [(line.rate, line.per) for line in got.lines] == [(Decimal(1), 3)]


def test_zero_is_a_price_that_someone_wrote_down(tmp_path: Path) -> None:
    got = drawn(book(tmp_path, "- {price: 0}"))
    assert (got.computed, got.source) == (Decimal(0), "computed")


def test_the_first_metric_of_a_model_bills_an_event_that_has_several(tmp_path: Path) -> None:
    prices = book(
        tmp_path,
        """
        - {metric: video_seconds, price: 1}
        - {metric: video_jobs, price: 10}
        """,
    )
    video: dict[str, Property] = {"image_count": 0, "video_jobs": 1}
    assert drawn(prices, **video, video_seconds=4).computed == 4
    assert drawn(prices, **video).computed == 10
    assert drawn(prices, **video, video_seconds=0).computed == 10
    unused = drawn(prices, video_jobs=0, video_seconds=0)
    assert [line.metric for line in unused.lines] == ["video_seconds"]


def test_an_extra_is_billed_once_though_two_files_name_it(tmp_path: Path) -> None:
    who = "provider: minimax, model: MiniMax-H3"
    own = f"- {{{who}, metric: input_image_count, basis: extra, price: 1}}"
    prices = book(tmp_path, own)
    clip = event(provider="minimax", model="MiniMax-H3", video_seconds=5, input_image_count=6)
    assert prices.price(clip).computed == Decimal("6.4")


@pytest.mark.parametrize("value", [Decimal("sNaN"), [], {}])
def test_a_value_that_cannot_be_a_key_is_no_dimension(tmp_path: Path, value: Property) -> None:
    prices = book(tmp_path, "- {when: {fps: 24}, price: 1}")
    assert drawn(prices, fps=24).computed == 1
    assert drawn(prices, fps=Decimal("24.0")).computed == 1
    assert drawn(prices, fps=value).computed is None
    assert drawn(prices, model=value).computed is None


def test_the_users_file_is_read_at_once_and_ours_when_first_asked(tmp_path: Path) -> None:
    assert "shelf" not in PriceBook().media.__dict__
    assert "shelf" in PriceBook(written(tmp_path, "")).media.__dict__
    assert PriceBook(written(tmp_path, "")).price(event(NOON)).computed is None


def test_our_lists_are_read_once_and_a_users_file_changes_them_for_its_own_book_only(
    tmp_path: Path,
) -> None:
    ours = PriceBook().media
    own = book(tmp_path, "- {price: 1}").media
    assert own.rows[0].model == "draw"
    assert PriceBook().media.shelf is ours.shelf
    assert all(one is other for one, other in zip(own.rows[1:], ours.rows, strict=True))
    assert PriceBook().tokens.book is PriceBook().tokens.book
