"""Which calls a quota, a limit or a price of the catalog is about."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import sold
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Enforcement, Limit
from tokenmeter.engine import quota_holds

if TYPE_CHECKING:
    from pathlib import Path

    from tokenmeter.asgi.incoming import App

CHAT, IMAGES, SPEECH = "/v1/chat/completions", "/v1/images/generations", "/v1/audio/transcriptions"
GPT_4O = {"key": "model", "values": ["gpt-4o"]}
HD = {"key": "quality", "values": ["hd"]}


def chat(model: str) -> bytes:
    messages = [{"role": "user", "content": "Hello"}]
    return json.dumps({"model": model, "max_tokens": 9, "messages": messages}).encode()


def image(quality: str) -> bytes:
    asked = {"model": "dall-e-3", "prompt": "a", "quality": quality, "size": "1024x1024"}
    return json.dumps(asked).encode()


def counting() -> App:
    """An application whose answers have ids of their own."""
    numbers = count()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        used = {"prompt_tokens": 8, "completion_tokens": 2}
        answer = {"id": f"c{next(numbers)}", "model": "gpt-4o-2024-08-06", "usage": used}
        plain = json.dumps(answer).encode()
        await answering(200, {"content-type": "application/json"}, [plain])(scope, receive, send)

    return app


async def statuses(meter: TokenMeter, calls: list[tuple[str, bytes]], **rule: Any) -> list[int]:
    """Make calls one after the other; each is answered, and delivered before the next."""
    gateway = TokenMeterMiddleware(counting(), customer=lambda _r: "acme", meter=meter, **rule)
    found: list[int] = []
    for path, body in calls:
        found.append((await ask(gateway, scope_of("POST", path), body)).status)
        meter.flush(30)
    meter.shutdown()
    return found


async def test_a_models_quota_counts_it_by_all_of_its_names(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    counts = {"event_name": "text_generated", "aggregation": {"type": "COUNT"}}
    sold(url, {**counts, "filters": [GPT_4O]}, included=2)
    names = ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", "gpt-4o", "gpt-4o-mini"]
    calls = [(CHAT, chat(name)) for name in names]
    passed = await statuses(TokenMeter(url), calls, enforce="quota")
    assert passed == [200, 200, 429, 429, 200]


async def test_a_quota_gives_all_that_it_includes_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_holds, "KNOWN_S", -1.0)  # what is used is read for each call
    url = f"sqlite:///{tmp_path}/q.db"
    sold(url, {"event_name": "text_generated", "aggregation": {"type": "COUNT"}}, included=10)
    calls = [(CHAT, chat("gpt-4o"))] * 12
    assert await statuses(TokenMeter(url), calls, enforce="quota") == [200] * 10 + [429] * 2


@pytest.mark.parametrize(
    ("meter", "call"),
    [
        ({"event_name": "image_generated", "filters": []}, (CHAT, chat("gpt-4o"))),
        ({"event_name": "image_generated", "filters": [HD]}, (IMAGES, image("standard"))),
    ],
)
async def test_a_quota_is_not_about_other_calls(
    tmp_path: Path, meter: dict[str, Any], call: tuple[str, bytes]
) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    sold(url, {**meter, "aggregation": {"type": "COUNT"}}, included=1)
    passed = await statuses(TokenMeter(url), [call, call, call], enforce="quota")
    assert passed == [200, 200, 200]


async def test_a_call_whose_quantity_nobody_knows_needs_something_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    adds = {"aggregation": {"type": "SUM", "field": "audio_seconds"}}
    sold(url, {"event_name": "audio_transcribed", **adds}, included=0)
    asked = json.dumps({"model": "a-model-without-a-price"}).encode()
    assert await statuses(TokenMeter(url), [(SPEECH, asked)], enforce="quota") == [429]


@pytest.mark.parametrize(
    "limit",
    [
        Limit(per="month", requests=2, by=("customer", "model")),
        Limit(per="month", requests=2, only={"model": "gpt-4o"}),
    ],
)
async def test_a_models_limit_counts_it_by_all_of_its_names(limit: Limit) -> None:
    names = ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", "gpt-4o-mini"]
    calls = [(CHAT, chat(name)) for name in names]
    passed = await statuses(TokenMeter("memory:"), calls, limits=[limit])
    assert passed == [200, 200, 429, 200]


async def test_a_limit_of_a_dated_model_is_about_no_other() -> None:
    limit = Limit(per="month", requests=0, only={"model": "gpt-4o-2024-08-06"})
    calls = [(CHAT, chat("gpt-4o-2024-08-06")), (CHAT, chat("gpt-4o-2024-11-20"))]
    assert await statuses(TokenMeter("memory:"), calls, limits=[limit]) == [429, 200]


@pytest.mark.parametrize(
    ("options", "meter"),
    [
        ({"names": {"text_generated": "chat"}}, {"event_name": "chat"}),
        ({"shape": "tokens_total"}, {"event_name": "tokens_total"}),
    ],
)
async def test_a_call_is_quoted_and_held_as_the_events_that_are_delivered(
    tmp_path: Path, options: dict[str, Any], meter: dict[str, Any]
) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    metric = "tokens" if "shape" in options else "output_tokens"
    adds = {"type": "SUM", "field": metric}
    sold(url, {**meter, "aggregation": adds}, included=None, credit="0.30")
    made = TokenMeter(url, **options)
    quote = made.preview(
        provider="openai", model="gpt-4o", input_tokens=8, output_tokens=2, customer="acme"
    )
    assert quote.charge is not None
    assert quote.charge.high.amount * 100 == (10 if metric == "tokens" else 2)
    assert await statuses(made, [(CHAT, chat("gpt-4o"))], enforce="wallet") == [200]


@pytest.mark.parametrize("rule", ["closed", "open"])
@pytest.mark.parametrize("customer", ["nobody", "acme"])
async def test_a_customer_without_a_plan_is_no_outage_and_has_nothing_included(
    tmp_path: Path, customer: str, rule: Any
) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    sold(url, {"event_name": "text_generated", "aggregation": {"type": "COUNT"}}, included=10)
    meter = TokenMeter(url)
    for subscription in meter.engine.subscriptions.of_customer("acme"):
        meter.engine.subscriptions.cancel(subscription["id"], {"cancellation_type": "immediate"})
    gateway = TokenMeterMiddleware(
        counting(),
        customer=lambda _r: customer,
        meter=meter,
        enforce="quota",
        enforcement=Enforcement(on_unavailable=rule),
    )
    refused = await ask(gateway, scope_of("POST", CHAT), chat("gpt-4o"))
    assert refused.status == 403
    assert json.loads(refused.body)["error"]["code"] == "permission_denied"
    assert refused.headers["x-should-retry"] == "false"
    meter.shutdown()
