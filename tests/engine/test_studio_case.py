"""The user's own case: events as vendors write them, to the cent; unpriced is not 0."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.sold import NOW
from tokenmeter.engine.local import Engine
from tokenmeter.event import Event

START = NOW - timedelta(days=5)
SEEDANCE = "seedance-1-5-pro-251215"


@pytest.fixture
def acme(database: str) -> Iterator[Engine]:
    with Engine(database) as engine:
        engine.catalog.apply("studio")
        engine.definitions.create("customer", {"external_id": "cust_001", "name": "Acme"})
        engine.subscriptions.create(
            {
                "external_customer_id": "cust_001",
                "plan_id": "ai_pro",
                "currency": "usd",
                "billing_period": "MONTHLY",
                "start_date": START,
            }
        )
        yield engine


def happened(number: int, name: str, **properties: Any) -> Event:
    at = START + timedelta(minutes=number)
    return Event(f"{name}_generated", f"evt_{number}", "cust_001", at, properties)


VENDORS = [
    happened(1, "image", model="dall-e-3", size="1024x1024", quality="standard", image_count=1),
    happened(2, "image", model="gpt-image-1", input_tokens=1200, output_tokens=4160),
    happened(
        3,
        "video",
        model="veo-3.1-lite-generate-preview",
        resolution="1080p",
        duration_seconds=8,
    ),
    happened(4, "video", model=SEEDANCE, generate_audio=False, completion_tokens=982_344),
    happened(5, "video", provider="kling", model="kling-v2-6", mode="pro", duration_seconds="5"),
    happened(6, "world", provider="marble", model="marble-1.1", world_count=1),
]


def amounts(told: dict[str, Any]) -> dict[str, str]:
    return {
        line["display_name"]: line["amount"]
        for line in told["line_items"]
        if Decimal(line["quantity"])
    }


def preview(engine: Engine) -> dict[str, Any]:
    return engine.invoice("cust_001", start=START, end=START + timedelta(days=30))


def test_vendor_events_cost_what_the_studio_charges(acme: Engine) -> None:
    acme.ingest(VENDORS)
    told = preview(acme)
    assert amounts(told) == {
        "dalle3_1024_std": "0.04",
        "gpt_image_input_tokens": "0.01",
        "gpt_image_output_tokens": "0.17",
        "veo_3_1_lite_1080p_sec": "0.64",
        "seedance_1_5_pro_tokens": "1.18",
    }
    assert told["subtotal"] == told["amount_due"] == "2.04"
    assert len(told["line_items"]) == 13


def test_what_has_no_price_is_shown_as_unpriced_and_not_as_0(acme: Engine) -> None:
    acme.ingest(VENDORS)
    kling, marble = preview(acme)["unpriced"]
    assert (kling["event_name"], kling["events"]) == ("video_generated", 1)
    assert kling["quantities"] == {"video_seconds": "5"}
    assert kling["properties"]["model"] == "kling-v2-6"
    assert kling["reason"] == "no price matches"
    assert (marble["event_name"], marble["quantities"]) == (
        "world_generated",
        {"world_count": "1"},
    )


def test_an_event_that_lacks_its_meters_field_is_shown_and_not_billed_0(acme: Engine) -> None:
    acme.ingest([happened(1, "video", model=SEEDANCE, generate_audio="true")])
    (lacking,) = preview(acme)["unpriced"]
    assert lacking["reason"] == "the events have no video_tokens"
    assert lacking["events"] == 1


def test_the_python_of_docs_billing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "billing.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/billing.md", "exec"), names)
    assert names["meter"].shutdown()
    assert capsys.readouterr().out == "0.64\n"


def test_usage_is_exact_and_its_total_is_rounded(acme: Engine) -> None:
    acme.ingest(VENDORS)
    told = acme.rate("cust_001", start=START, end=START + timedelta(days=30))
    exact = {c["meter_display_name"]: c["amount"] for c in told["charges"] if c["amount"] != "0"}
    assert exact["seedance_1_5_pro_tokens"] == "1.1788128"
    assert exact["gpt_image_output_tokens"] == "0.1664"
    assert (told["amount"], told["display_amount"]) == ("2.04", "$2.04")
    assert len(told["unpriced"]) == 2
