"""The user's own case, with curl: a studio's catalog, and events as vendors write them."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.server.running import Server

if shutil.which("curl") is None:
    pytest.skip("there is no curl here", allow_module_level=True)

ON_BOTH_DATABASES = True

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SEEDANCE = "seedance-1-5-pro-251215"
METERS = {
    "image_count": "image_generated",
    "input_tokens": "image_generated",
    "output_tokens": "image_generated",
    "video_seconds": "video_generated",
    "video_tokens": "video_generated",
    "video_jobs": "video_generated",
    "world_count": "world_generated",
    "request_count": "api_calls",
}
HORSE = {"provider": ["alibaba"]}
PRICES: list[tuple[str, str, object, dict[str, list[Any]]]] = [
    ("dalle2_1024", "image_count", "0.02", {"model": ["dall-e-2"], "size": ["1024x1024"]}),
    ("dalle3_1024_std", "image_count", 0.04, {"model": ["dall-e-3"], "quality": ["standard"]}),
    ("dalle3_1024_hd", "image_count", "0.08", {"model": ["dall-e-3"], "quality": ["hd"]}),
    ("gpt_image_input_tokens", "input_tokens", 0.00001, {"model": ["gpt-image-1"]}),
    ("gpt_image_output_tokens", "output_tokens", "0.00004", {"model": ["gpt-image-1"]}),
    (
        "veo_3_1_lite_1080p_sec",
        "video_seconds",
        "0.08",
        {"model": ["veo-3.1-lite-generate-preview"], "resolution": ["1080p"]},
    ),
    (
        "veo_3_1_4k_sec",
        "video_seconds",
        "0.60",
        {"model": ["veo-3.1-generate-preview"], "resolution": ["4k"], "quality": ["standard"]},
    ),
    (
        "kling_v2_5_turbo_std_sec",
        "video_seconds",
        "0.05",
        {"model": ["kling-v2-5-turbo"], "mode": ["std"], "input_type": ["text", "image"]},
    ),
    (
        "kling_omni_pro_sec",
        "video_seconds",
        "0.12",
        {"model": ["kling-video-o1"], "mode": ["pro"], "resolution": ["720p", "1080p"]},
    ),
    (
        "seedance_1_5_pro_tokens",
        "video_tokens",
        "0.0000012",
        {"model": [SEEDANCE], "generate_audio": [False]},
    ),
    (
        "seedance_1_5_pro_tokens_audio",
        "video_tokens",
        0.0000024,
        {"model": [SEEDANCE], "generate_audio": ["true"]},
    ),
    ("happyhorse_std_job", "video_jobs", "1.8", {**HORSE, "mode": ["std"]}),
    ("happyhorse_pro_job", "video_jobs", "2.4", {**HORSE, "mode": ["pro"]}),
]
EVENTS: list[tuple[str, dict[str, Any]]] = [
    (
        "image_generated",
        {"model": "dall-e-3", "size": "1024x1024", "quality": "standard", "image_count": 1},
    ),
    (
        "image_generated",
        {"model": "gpt-image-1", "prompt_tokens": 1200, "completion_tokens": 4160},
    ),
    (
        "video_generated",
        {
            "model": "veo-3.1-lite-generate-preview",
            "resolution": "1080p",
            "duration_seconds": 8,
            "generate_audio": True,
        },
    ),
    (
        "video_generated",
        {"model": SEEDANCE, "generate_audio": False, "completion_tokens": 982344},
    ),
    ("video_generated", {"model": "kling-v2-6", "mode": "pro", "duration_seconds": "5"}),
    ("world_generated", {"provider": "marble", "model": "marble-1.1", "world_count": 1}),
]


class Curl:
    """Asks the server as a person does."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __call__(self, path: str, body: object) -> Any:
        command = ["curl", "-sS", "-w", "\n%{http_code}", "-H", f"x-api-key: {self.server.key}"]
        command += ["-d", json.dumps(body), f"{self.server.origin}/v1{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        text, _, status = done.stdout.rpartition("\n")
        assert status in {"200", "201", "202"}, done.stdout
        return json.loads(text)


@pytest.fixture
def curl(server: Server) -> Curl:
    server.clock.at = NOW
    return Curl(server)


def sold(curl: Curl) -> str:
    """The studio's catalog and its customer; return the subscription."""
    curl("/customers", {"external_id": "cust_001"})
    plan = curl("/plans", {"name": "AI Pro", "lookup_key": "ai_pro"})["id"]
    unit = {"name": "Credit", "code": "CREDIT", "symbol": "cr", "conversion_rate": "0.01"}
    curl("/prices/units", {**unit, "base_currency": "USD"})
    meters: dict[str, str] = {}
    for name, event_name in METERS.items():
        rule = {"type": "SUM", "field": name}
        fields = {"name": name, "event_name": event_name, "aggregation": rule}
        meters[name] = curl("/meters", {**fields, "reset_usage": "Periodic"})["id"]
    for lookup_key, meter, amount, filters in PRICES:
        curl(
            "/prices",
            {
                "lookup_key": lookup_key,
                "currency": "USD",
                "entity_type": "PLAN",
                "entity_id": plan,
                "type": "USAGE",
                "price_unit_type": "FIAT",
                "billing_model": "FLAT_FEE",
                "billing_period": "MONTHLY",
                "billing_period_count": 1,
                "invoice_cadence": "ARREAR",
                "meter_id": meters[meter],
                "amount": amount,
                "filter_values": filters,
            },
        )
    subscription = {
        "external_customer_id": "cust_001",
        "plan_id": plan,
        "currency": "USD",
        "billing_period": "MONTHLY",
        "start_date": "2026-11-01T00:00:00Z",
        "customer_timezone": "UTC",
    }
    return str(curl("/subscriptions", subscription)["id"])


def send(curl: Curl) -> None:
    for index, (name, properties) in enumerate(EVENTS):
        event = {
            "event_name": name,
            "external_customer_id": "cust_001",
            "event_id": f"evt_{index}",
            "timestamp": f"2026-11-20T10:00:0{index}Z",
            "properties": properties,
        }
        assert "warning" not in curl("/events", event)


def test_the_studio_is_billed_to_the_cent(curl: Curl) -> None:
    subscription = sold(curl)
    send(curl)
    preview = curl("/invoices/preview", {"subscription_id": subscription})
    keys = {p["id"]: p["lookup_key"] for p in curl("/prices/search", {"limit": 100})["items"]}
    billed = {
        keys[line["price_id"]]: line["amount"]
        for line in preview["line_items"]
        if Decimal(line["amount"])
    }
    assert billed == {
        "dalle3_1024_std": "0.04",
        "gpt_image_input_tokens": "0.01",
        "gpt_image_output_tokens": "0.17",
        "veo_3_1_lite_1080p_sec": "0.64",
        "seedance_1_5_pro_tokens": "1.18",
    }
    assert preview["total"] == "2.04"
    assert [u["event_name"] for u in preview["unpriced"]] == ["video_generated", "world_generated"]
    begun = datetime(2026, 11, 1, tzinfo=UTC)  # the server's clock stands still, the engine's runs
    inside = curl.server.engine.invoice(subscription_id=subscription, start=begun)
    assert inside["line_items"] == preview["line_items"]
    used = curl("/subscriptions/usage", {"subscription_id": subscription})
    exact = {keys[c["price_id"]]: c["amount"] for c in used["charges"] if c["amount"]}
    assert exact["seedance_1_5_pro_tokens"] == 1.1788128
    assert exact["gpt_image_output_tokens"] == 0.1664


def test_an_event_whose_field_no_meter_finds_is_stored_with_a_warning(curl: Curl) -> None:
    sold(curl)
    event = {"event_name": "video_generated", "external_customer_id": "cust_001"}
    answer = curl("/events", {**event, "properties": {"length": 8}})
    assert "video_seconds" in answer["warning"]
    events = [{**event, "properties": {"duration": 8}}, {**event, "properties": {}}]
    assert "video_tokens" in curl("/events/bulk", {"events": events})["warning"]
    assert "warning" not in curl("/events/bulk", {"events": events[:1]})
