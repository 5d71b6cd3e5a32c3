"""Which row prices an event, what multiplies it, and what has no price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.pricing.events import NOON, event, priced
from tests.pricing.media_files import book, drawn
from tokenmeter.event import Property
from tokenmeter.pricing.pricebook import PriceBook, price_event

DALLE: dict[str, Property] = {
    "provider": "openai",
    "model": "dall-e-3",
    "size": "1024x1024",
    "quality": "hd",
    "image_count": 2,
}
KLING: dict[str, Property] = {
    "provider": "kling",
    "model": "kling-v3-omni",
    "resolution": "720p",
    "generate_audio": "false",
    "region": "global",
    "video_seconds": 5,
}


def test_images_are_priced_by_the_piece_by_size_and_quality() -> None:
    got = priced(**DALLE)
    assert (got.cost, got.source) == (Decimal("0.16"), "computed")
    assert [tuple(line) for line in got.lines] == [
        ("image_count", 2, Decimal("0.08"), 1, Decimal("0.16"))
    ]


def test_a_priced_event_carries_the_lists_version() -> None:
    properties = price_event(event(NOON, "image_generated", **DALLE)).properties
    assert properties["cost_usd"] == "0.16"
    assert str(properties["pricebook_version"]).startswith("media-20")


def test_a_retired_model_keeps_its_last_price_and_says_so() -> None:
    before = datetime(2026, 5, 11, tzinfo=UTC)
    assert priced(before, **DALLE).reason is None
    assert priced(before + timedelta(days=1), **DALLE).reason == (
        "dall-e-3 was retired on 2026-05-12: its last price is used"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "dall-e-9"}, "no token price for 'dall-e-9' of provider 'openai'"),
        (
            {"size": "64x64"},
            "dall-e-3 has no price per image_count for quality=hd, size=64x64",
        ),
        (
            {"quality": "ultra"},
            "dall-e-3 has no price per image_count for quality=ultra, size=1024x1024",
        ),
        ({"image_count": "two"}, "image_count is not a number"),
        ({"provider": "kling"}, "no price for 'dall-e-3' of provider 'kling'"),
        ({"provider": "nobody"}, "no token price list for provider 'nobody'"),
    ],
)
def test_what_no_row_knows_is_unpriced_with_a_reason_and_never_zero(
    change: dict[str, Property], reason: str
) -> None:
    got = priced(**{**DALLE, **change})
    assert (got.cost, got.source, got.reason) == (None, "unpriced", reason)


def test_an_event_without_the_metric_that_is_billed_says_which_it_is() -> None:
    got = priced(**{k: v for k, v in DALLE.items() if k != "image_count"})
    assert (got.cost, got.reason) == (None, "dall-e-3 is billed by image_count: none is reported")


def test_a_price_that_was_searched_in_vain_says_so() -> None:
    got = priced(provider="luma", model="ray-2", video_seconds=5)
    assert got.reason == "no price of ray-2 is known: Luma publishes no list price"


@pytest.mark.parametrize(
    ("change", "cost"),
    [
        ({}, "0.42"),
        ({"generate_audio": "true"}, "0.56"),
        ({"input_type": "video"}, "0.63"),  # three dimensions beat two
        ({"input_type": "video", "generate_audio": "true"}, "0.63"),
        ({"resolution": "4k", "generate_audio": "true"}, "2.1"),
        ({"resolution": "4K"}, "2.1"),
        ({"resolution": "2160p"}, "2.1"),
        ({"model": "kling-v9", "request_model": "kling-v3-omni"}, "0.42"),
        ({"model": "KLING-V3-OMNI"}, "0.42"),
    ],
)
def test_the_row_with_the_most_dimensions_wins(change: dict[str, Property], cost: str) -> None:
    assert priced(**{**KLING, **change}).computed == Decimal(cost)


def test_the_served_model_is_priced_else_the_asked_one_and_it_is_said() -> None:
    got = priced(**{**KLING, "model": "kling-v9"}, request_model="kling-v3-omni")
    assert got.reason == "kling-v9 is not in the price book: priced as kling-v3-omni"


def test_a_path_before_the_model_is_no_other_model() -> None:
    path = "publishers/google/models/veo-3.1-generate-001"
    got = priced(
        provider="google-vertex",
        model=path,
        model_type="veo-3.1-generate-001",
        resolution="4k",
        generate_audio="false",
        video_seconds=8,
    )
    assert (got.computed, got.model) == (Decimal("3.2"), "veo-3.1-generate-001")
    assert "is not in the price book" not in str(got.reason)


def test_another_region_is_not_priced_by_this_list() -> None:
    assert priced(**KLING).reason is None
    assert priced(**{**KLING, "region": "singapore"}).computed == Decimal("0.42")
    assert priced(**{**KLING, "region": "beijing"}).computed is None


@pytest.mark.parametrize(
    ("provider", "region", "cost"),
    [
        ("alibaba", "ap-southeast-1", "0.5"),
        ("alibaba", "intl", "0.5"),
        ("alibaba", "cn-beijing", "0.412565"),
        ("dashscope", None, "0.412565"),
        ("qwencloud", None, "0.5"),
        ("alibaba", "us-east-1", None),
    ],
)
def test_each_region_has_its_list(provider: str, region: str | None, cost: str | None) -> None:
    said: dict[str, Property] = {} if region is None else {"region": region}
    video: dict[str, Property] = {"model": "wan3.0-video", "resolution": "720p"}
    got = priced(provider=provider, video_seconds=5, **video, **said)
    assert got.computed == (None if cost is None else Decimal(cost))


def test_what_an_event_does_not_say_has_the_vendors_default_and_it_is_noted() -> None:
    got = priced(provider="google-vertex", model="veo-3.1-lite-generate-001", video_seconds=8)
    assert got.computed == Decimal("0.4")
    assert got.reason == (
        "generate_audio is not said: true is assumed; resolution is not said: 720p is assumed"
    )


def test_a_dimension_without_a_default_must_be_said() -> None:
    seedance: dict[str, Property] = {"provider": "byteplus", "model": "seedance-1-5-pro-251215"}
    got = priced(**seedance, video_tokens=108_900)
    assert got.reason == (
        "seedance-1-5-pro-251215 has no price per video_tokens for unsaid generate_audio"
    )
    assert priced(**seedance, video_tokens=108_900, generate_audio="true").computed == Decimal(
        "0.26136"
    )


def test_flex_is_half_and_a_draft_is_not_reduced_twice() -> None:
    clip: dict[str, Property] = {
        "provider": "byteplus",
        "model": "seedance-1-5-pro-251215",
        "generate_audio": "true",
        "video_tokens": 30_383,
    }
    full = Decimal("0.0729192")
    assert priced(**clip, draft="true", service_tier="default").computed == full
    assert priced(**clip, service_tier="flex").computed == full / 2


def test_tokens_of_a_video_go_before_its_seconds() -> None:
    got = priced(
        provider="volcengine",
        model="doubao-seedance-2-0-260128",
        resolution="720p",
        input_has_video="false",
        video_seconds=5,
        video_tokens=108_900,
    )
    assert [line.metric for line in got.lines] == ["video_tokens"]
    assert got.computed == Decimal("0.7156285714285714285714285714")  # 46 CNY a million, at 7.0


def test_a_minimum_charge_fills_up_what_is_short_of_it() -> None:
    task: dict[str, Property] = {"provider": "runway", "model": "aleph2"}
    short, long = priced(**task, video_seconds=1), priced(**task, video_seconds=3)
    assert short.computed == Decimal("0.56")
    assert [(line.metric, line.amount) for line in short.lines] == [
        ("video_seconds", Decimal("0.28")),
        ("minimum_charge", Decimal("0.28")),
    ]
    assert long.computed == Decimal("0.84")
    assert priced(**task, video_seconds=0).computed == 0


def test_input_videos_and_images_beyond_those_included_are_billed_beside() -> None:
    clip: dict[str, Property] = {"provider": "minimax", "model": "MiniMax-H3", "video_seconds": 5}
    assert priced(**clip, input_image_count=5).computed == Decimal("0.4")
    assert priced(**clip, input_image_count=7).computed == Decimal("0.48")
    runway: dict[str, Property] = {"provider": "runway", "model": "seedance2_5"}
    got = priced(**runway, resolution="1080p", video_seconds=5, input_video_seconds=3)
    assert got.computed == Decimal("3.4") + Decimal("1.02")


@pytest.mark.parametrize(
    ("size", "cost"),
    [
        ("1024x768", "0.05"),
        ("1024x1024", "0.05"),
        ("1025x1024", "0.1"),
        ("landscape_4_3", "0.05"),
        ("2048x2048", "0.2"),
        ("huge", None),
        ("0x5", None),
        ("99999999x99999999", None),
    ],
)
def test_each_image_is_rounded_up_to_whole_megapixels(size: str, cost: str | None) -> None:
    got = priced(provider="fal", model="fal-ai/flux/dev", size=size, image_count=2)
    assert got.computed == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize(("size", "cost"), [("2048x1152", "0.045"), ("2048x2048", "0.09")])
def test_a_size_in_pixels_has_a_class(size: str, cost: str) -> None:
    got = priced(provider="byteplus", model="seedream-5-0-pro-260628", size=size, image_count=1)
    assert got.computed == Decimal(cost)


def test_a_price_that_only_the_vendor_knows_is_none() -> None:
    world: dict[str, Property] = {"provider": "marble", "model": "marble-1.1-plus"}
    got = priced(**world, world_count=1)
    assert got.cost is None
    assert "known only after the job" in str(got.reason)
    assert priced(**world, world_count=1, provider_credits="2000").cost == Decimal("1.6")


FAILED: dict[str, Property] = {"outcome": "failed", "usage_source": "missing"}


@pytest.mark.parametrize(
    ("facts", "free"),
    [
        ({"provider": "byteplus", "model": "seedance-1-5-pro-251215", "http_status": "200"}, True),
        ({"provider": "alibaba", "model": "wan2.7-t2v", "http_status": "200"}, True),
        ({"provider": "openai", "model": "sora-2", "http_status": "200"}, False),  # not known
        ({"provider": "alibaba", "model": "wan2.7-t2v", "http_status": ""}, False),  # a timeout
    ],
)
def test_a_failed_job_is_free_where_the_vendor_says_so(
    facts: dict[str, Property], *, free: bool
) -> None:
    got = priced(**facts, **FAILED)
    assert got.computed == (0 if free else None)
    assert got.reason


def test_a_charge_in_the_vendors_units_is_the_cost_beside_the_computed_one() -> None:
    properties = price_event(event(**KLING, provider_units="3")).properties
    assert (properties["cost_usd"], properties["cost_source"]) == ("0.42", "reported")
    assert properties["computed_cost_usd"] == "0.42"
    drifted = price_event(event(**KLING, provider_units="6")).properties
    assert (drifted["cost_usd"], drifted["cost_drift"]) == ("0.84", "2.0000")


def test_units_are_worth_what_those_of_their_package_are() -> None:
    image: dict[str, Property] = {**KLING, "provider_units": "8", "image_count": 1}
    assert priced(**image, unit_package="image").reported == Decimal("0.028")
    assert priced(**image, unit_package="video").reported == Decimal("1.12")
    assert priced(**image, unit_package="try_on").reported is None, "its worth is not known"


@pytest.mark.parametrize(
    ("facts", "cost"),
    [
        ({"model": "kling-v1", "input_type": "image"}, "0.0070"),
        ({"model": "kling-v2-1", "input_type": "text"}, "0.0280"),
        ({"model": "kling-v2-1", "input_type": "image"}, "0.0560"),
        ({"model": "kling-v2", "input_type": "image", "operation": "multi-image2image"}, "0.1120"),
    ],
)
def test_retired_image_models_of_kling_are_priced_by_the_unit(
    facts: dict[str, Property], cost: str
) -> None:
    got = priced(provider="kling", region="singapore", image_count=2, **facts)
    assert got.computed == Decimal(cost)


def test_a_price_for_any_model_is_not_said_to_be_the_models_own() -> None:
    got = priced(provider="alibaba", model="wan9-t2v", video_seconds=5, video_jobs=1)
    assert got.reason == "no list names wan9-t2v; any model's price per video_jobs: unsaid mode"


@pytest.mark.parametrize(
    ("facts", "cost"),
    [
        # Alibaba's own example: help/en/model-studio/wan-s2v-api.
        ({"model": "wan2.2-s2v", "resolution": "480p"}, "0.73325571"),
        ({"model": "wan2.5-t2v-preview", "resolution": "720p"}, "0.87990276"),
        ({"model": "wan2.2-animate-move", "mode": "wan-std"}, "0.58659843"),
    ],
)
def test_earlier_wan_models_are_priced_by_the_list_of_beijing(
    facts: dict[str, Property], cost: str
) -> None:
    length = Decimal("10.23")
    got = priced(provider="alibaba", region="cn-beijing", video_seconds=length, **facts)
    assert got.computed == Decimal(cost)


@pytest.mark.parametrize(
    "change",
    [
        {"provider_units": "many"},
        {"provider_units": "-3"},
        {"provider_units": "NaN"},
        {"provider_units": "1e400"},
        {"provider_units": "3", "provider": "alibaba"},  # has no units
        {"provider_units": "3", "provider": ""},
        {"provider_units": "3", "region": "beijing"},  # other units
    ],
)
def test_units_that_are_none_are_no_charge(change: dict[str, Property]) -> None:
    assert priced(**{**KLING, **change}).reported is None


def test_tokens_win_over_the_published_price_per_image() -> None:
    image: dict[str, Property] = {
        "provider": "openai",
        "model": "gpt-image-1.5",
        "quality": "medium",
        "size": "1024x1024",
        "image_count": 1,
    }
    estimate = priced(NOON, "image_generated", **image)
    assert estimate.computed == Decimal("0.034")
    assert str(estimate.reason).startswith("an estimate: the published price per image")
    exact = priced(NOON, "image_generated", **image, output_tokens=1_056)
    assert exact.computed == Decimal("0.033792")


def test_a_time_without_a_zone_is_utc() -> None:
    naive = event(NOON.replace(tzinfo=None), **DALLE)
    assert PriceBook().price(naive).computed == Decimal("0.16")
    kling = replace(naive, properties={**KLING, "provider_units": "3"})
    assert PriceBook().price(kling).reported == Decimal("0.42")


def test_a_row_of_ones_own_wins_over_ours(tmp_path: Path) -> None:
    own = """
    - {provider: openai, model: dall-e-3, price: 0.03}
    - {provider: openai, model: gpt-image-1.5, price: 0.5}
    """
    prices = book(tmp_path, own)
    images = event(NOON, "image_generated", **DALLE)
    assert prices.price(images).computed == Decimal("0.06")
    tokens = {**DALLE, "model": "gpt-image-1.5", "output_tokens": 1_056}
    assert prices.price(replace(images, properties=tokens)).computed == Decimal(1)
    assert prices.media.version.partition("+")[2]
    assert drawn(prices).computed is None


def test_a_row_of_ones_own_for_some_sizes_leaves_the_others_to_ours(tmp_path: Path) -> None:
    prices = book(
        tmp_path, "- {provider: openai, model: dall-e-3, when: {quality: hd}, price: 0.03}"
    )
    hd = event(**DALLE)
    standard = event(**{**DALLE, "quality": "standard"})
    assert prices.price(hd).computed == Decimal("0.06")
    assert prices.price(standard).computed == Decimal("0.08")


def test_veo_3_costs_the_same_on_both_platforms() -> None:
    clip: dict[str, Property] = {"model": "veo-3.0-generate-001", "video_seconds": 8}
    for provider in ("google", "google-vertex"):
        assert priced(provider=provider, **clip).computed == Decimal("3.2")


def test_images_whose_tokens_nobody_counted_cost_what_such_images_cost() -> None:
    drawn: dict[str, Property] = {"provider": "google", "model": "gemini-2.5-flash-image"}
    blocked = priced(NOON, "image_generated", **drawn, input_tokens=9, image_count=0)
    assert blocked.computed == Decimal("0.0000027")
    cut = priced(NOON, "image_generated", **drawn, input_tokens=9, image_count=2)
    assert cut.computed == Decimal("0.078")
    assert str(cut.reason).startswith("an estimate")
    whole = priced(NOON, "image_generated", **drawn, input_tokens=9, output_tokens=2580)
    assert whole.computed == Decimal("0.0774027")
    nameless = event(NOON, "image_generated", **{**drawn, "model": "gemini-2.5-flash"})
    facts = {**nameless.properties, "input_tokens": 9, "image_count": 1}
    unpriced = price_event(replace(nameless, properties=facts)).properties
    assert unpriced["unpriced_reason"] == "images were made, their tokens are not reported"
