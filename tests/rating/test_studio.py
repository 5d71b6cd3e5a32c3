"""The studio's own prices: events as the vendors' documents write them, rated to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.rating.made import MARCH, START, d
from tokenmeter.event import Event
from tokenmeter.rating.adjust import rate
from tokenmeter.rating.aggregation import measure
from tokenmeter.rating.define import define_meter, define_price
from tokenmeter.rating.filters import check_unambiguous
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.price import Price
from tokenmeter.rating.selection import assign


def meter(name: str, event_name: str, *aliases: str) -> Meter:
    rule = {"type": "SUM", "field": name, "aliases": list(aliases)}
    fields = {"name": name, "event_name": event_name, "reset_usage": "Periodic"}
    return define_meter({**fields, "id": name, "aggregation": rule})


def price(key: str, meter_id: str, amount: str, **filters: object) -> Price:
    return define_price(
        {
            "lookup_key": key,
            "currency": "USD",
            "type": "USAGE",
            "meter_id": meter_id,
            "billing_period": "MONTHLY",
            "billing_model": "FLAT_FEE",
            "invoice_cadence": "ARREAR",
            "amount": amount,
            "filter_values": filters,
        }
    )


METERS = {
    m.name: m
    for m in (
        meter("image_count", "image_generated"),
        meter("input_tokens", "image_generated"),
        meter("output_tokens", "image_generated"),
        meter("video_seconds", "video_generated", "duration_seconds"),
        meter("video_tokens", "video_generated", "completion_tokens"),
        meter("world_count", "world_generated"),
    )
}
SEEDANCE = "seedance-1-5-pro-251215"
PRICES = [
    price("dalle2_1024", "image_count", "0.02", model="dall-e-2", size="1024x1024"),
    price("dalle3_1024_std", "image_count", "0.04", model="dall-e-3", quality="standard"),
    price("dalle3_1024_hd", "image_count", "0.08", model="dall-e-3", quality="hd"),
    price("gpt_image_input_tokens", "input_tokens", "0.00001", model="gpt-image-1"),
    price("gpt_image_output_tokens", "output_tokens", "0.00004", model="gpt-image-1"),
    price(
        "veo_3_1_lite_1080p_sec",
        "video_seconds",
        "0.08",
        model="veo-3.1-lite-generate-preview",
        resolution="1080p",
    ),
    price("kling_v2_5_turbo_std_sec", "video_seconds", "0.05", model="kling-v2-5-turbo"),
    price("seedance", "video_tokens", "0.0000012", model=SEEDANCE, generate_audio="false"),
    price("seedance_audio", "video_tokens", "0.0000024", model=SEEDANCE, generate_audio=True),
]


def event(name: str, **properties: str | int | Decimal) -> Event:
    return Event(f"{name}_generated", "evt_1", "cust_001", START, properties)


def charged(happened: Event) -> dict[str, str]:
    """The amount by price, and the meter for which no price matches."""
    found: dict[str, str] = {}
    for one in METERS.values():
        prices = [p for p in PRICES if p.meter_id == one.name]
        held = assign(one, prices, [happened])
        for p in prices:
            usage = measure(one.aggregation, held.by_price[p.price_id], MARCH)
            if usage.value:
                found[p.price_id] = str(rate(p, usage).amount)
        if any(sample.quantity for sample in held.unpriced):
            found["unpriced"] = one.name
    return found


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        (
            event("image", model="dall-e-3", size="1024x1024", quality="standard", image_count=1),
            {"dalle3_1024_std": "0.04"},
        ),
        (
            event("image", model="gpt-image-1", input_tokens=1200, output_tokens=4160),
            {"gpt_image_input_tokens": "0.01", "gpt_image_output_tokens": "0.17"},
        ),
        (
            event(
                "video",
                model="veo-3.1-lite-generate-preview",
                resolution="1080p",
                duration_seconds=8,
            ),
            {"veo_3_1_lite_1080p_sec": "0.64"},
        ),
        (
            event("video", model=SEEDANCE, generate_audio=False, completion_tokens=982_344),
            {"seedance": "1.18"},
        ),
        (
            event("video", model=SEEDANCE, generate_audio="true", completion_tokens=982_344),
            {"seedance_audio": "2.36"},
        ),
        (
            event("video", model="kling-v2-6", mode="pro", duration_seconds="5"),
            {"unpriced": "video_seconds"},
        ),
        (event("world", model="marble-1.1", world_count=1), {"unpriced": "world_count"}),
    ],
)
def test_an_event_of_the_studio_costs_what_its_price_says(
    happened: Event, expected: dict[str, str]
) -> None:
    assert charged(happened) == expected


def test_the_studios_prices_are_unambiguous() -> None:
    for name in METERS:
        check_unambiguous([p for p in PRICES if p.meter_id == name])


def test_a_meter_says_when_a_matching_event_lacks_its_field() -> None:
    taken = METERS["video_seconds"].sample(event("video", model=SEEDANCE, completion_tokens=5))
    assert taken is not None
    assert taken.lacks_field
    assert taken.quantity == d(0)
