"""Each price of the studio is hit by an event captured from a client's own calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tokenmeter import TokenMeter
from tokenmeter.engine.local import Engine

OPENAI = "https://api.openai.com/v1/images/generations"
VERTEX = "https://aiplatform.googleapis.com/v1beta1"
PLACE = "projects/studio/locations/us-central1"
KLING = "https://api-singapore.klingai.com/v1/videos"
ARK = "https://ark.ap-southeast.bytepluses.com/api/v3/contents/generations/tasks"
HAPPYHORSE = "https://happyhorse.app/api"
SEEDANCE = "seedance-1-5-pro-251215"
CREATED = 1_793_000_000
LINK = "https://files.example/1.mp4"

Answer = Callable[[httpx2.Request], Any]


def call(meter: TokenMeter, answer: Answer, *requests: tuple[str, str, Any]) -> None:
    """Make a client's calls, attributed to acme; the network's part is played by `answer`."""

    def play(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=answer(request))

    with httpx2.Client(transport=httpx2.MockTransport(play)) as client:
        meter.wrap(client)
        with meter.attribute(customer="acme"):
            for method, url, body in requests:
                client.request(method, url, json=body, headers={"authorization": "Bearer none"})


def image(meter: TokenMeter, **asked: Any) -> None:
    told: dict[str, Any] = {"created": CREATED, "data": [{"url": "https://files.example/1.png"}]}
    if asked["model"].startswith("gpt"):
        told["usage"] = {"input_tokens": 1200, "output_tokens": 4160, "total_tokens": 5360}
    call(meter, lambda _: told, ("POST", OPENAI, {"prompt": "A pot", **asked}))


def veo(meter: TokenMeter, model: str, **asked: Any) -> None:
    name = f"{PLACE}/publishers/google/models/{model}/operations/{model}"
    video = {"gcsUri": "gs://studio/1.mp4", "mimeType": "video/mp4"}
    done = {"name": name, "done": True, "response": {"videos": [video]}}
    base = f"{VERTEX}/publishers/google/models/{model}"
    call(
        meter,
        lambda request: done if "fetch" in str(request.url) else {"name": name},
        ("POST", f"{base}:predictLongRunning", {"parameters": asked}),
        ("POST", f"{base}:fetchPredictOperation", {"operationName": name}),
    )


def kling(meter: TokenMeter, route: str, **asked: Any) -> None:
    task_id = f"{asked['model_name']}-1"
    video = {"id": "v", "url": LINK, "duration": "5.041"}

    def answer(request: httpx2.Request) -> Any:
        polled = request.method == "GET"
        task: dict[str, Any] = {
            "task_id": task_id,
            "task_status": "succeed" if polled else "submitted",
            "created_at": CREATED * 1000,
            "updated_at": CREATED * 1000,
        }
        if polled:
            task["task_result"] = {"videos": [video]}
        return {"code": 0, "message": "SUCCEED", "request_id": "r", "data": task}

    submit, poll = f"{KLING}/{route}", f"{KLING}/{route}/{task_id}"
    call(meter, answer, ("POST", submit, asked), ("GET", poll, None))


def seedance(meter: TokenMeter, audio: bool) -> None:
    task_id = f"cgt-{audio}"
    usage = {"completion_tokens": 982_344, "total_tokens": 982_344}

    def answer(request: httpx2.Request) -> Any:
        if request.method == "POST":
            return {"id": task_id}
        return {
            "id": task_id,
            "model": SEEDANCE,
            "status": "succeeded",
            "created_at": CREATED,
            "updated_at": CREATED,
            "content": {"video_url": LINK},
            "usage": usage,
            "resolution": "1080p",
            "ratio": "16:9",
            "duration": 5,
            "framespersecond": 24,
            "generate_audio": audio,
        }

    asked: dict[str, Any] = {"model": SEEDANCE, "content": [{"type": "text", "text": "Snow"}]}
    asked |= {"generate_audio": audio, "resolution": "1080p", "duration": 5}
    call(meter, answer, ("POST", ARK, asked), ("GET", f"{ARK}/{task_id}", None))


def happyhorse(meter: TokenMeter, mode: str) -> None:
    def answer(request: httpx2.Request) -> Any:
        task: dict[str, Any] = {"task_id": f"hh-{mode}", "status": "PENDING"}
        if request.method == "GET":
            task |= {"status": "SUCCESS", "response": {"resultUrls": [LINK]}}
        return {"code": 200, "message": "ok", "data": task}

    asked = {"model": "happyhorse-1.0/video", "prompt": "A horse", "mode": mode, "duration": 5}
    poll = f"{HAPPYHORSE}/status?task_id=hh-{mode}"
    call(meter, answer, ("POST", f"{HAPPYHORSE}/generate", asked), ("GET", poll, None))


STD = {"model_name": "kling-v2-5-turbo", "mode": "std", "duration": "5", "prompt": "A pot"}
OMNI = {"model_name": "kling-video-o1", "mode": "pro", "duration": "5", "prompt": "A pot"}
CALLS: dict[str, tuple[Callable[[TokenMeter], None], str]] = {
    "dalle2_1024": (lambda m: image(m, model="dall-e-2", size="1024x1024"), "0.02"),
    "dalle3_1024_std": (lambda m: image(m, model="dall-e-3", size="1024x1024"), "0.04"),
    "dalle3_1024_hd": (
        lambda m: image(m, model="dall-e-3", size="1024x1024", quality="hd"),
        "0.08",
    ),
    "gpt_image_input_tokens": (lambda m: image(m, model="gpt-image-1"), "0.01"),
    "gpt_image_output_tokens": (lambda m: image(m, model="gpt-image-1"), "0.17"),
    "veo_3_1_lite_1080p_sec": (
        lambda m: veo(
            m, "veo-3.1-lite-generate-001", resolution="1080p", durationSeconds=8, sampleCount=1
        ),
        "0.64",
    ),
    "veo_3_1_4k_sec": (
        lambda m: veo(
            m, "veo-3.1-generate-001", resolution="4k", durationSeconds=8, sampleCount=1
        ),
        "4.80",
    ),
    "kling_v2_5_turbo_std_sec": (lambda m: kling(m, "text2video", **STD), "0.25"),
    "kling_omni_pro_sec": (lambda m: kling(m, "omni-video", **OMNI), "0.60"),
    "seedance_1_5_pro_tokens": (lambda m: seedance(m, audio=False), "1.18"),
    "seedance_1_5_pro_tokens_audio": (lambda m: seedance(m, audio=True), "2.36"),
    "happyhorse_std_job": (lambda m: happyhorse(m, "std"), "1.80"),
    "happyhorse_pro_job": (lambda m: happyhorse(m, "pro"), "2.40"),
}


@pytest.mark.parametrize("price", CALLS)
def test_a_captured_call_is_billed_by_the_studios_price(price: str, tmp_path: Path) -> None:
    make, amount = CALLS[price]
    meter = TokenMeter(backend=f"sqlite:///{tmp_path / 'usage.db'}")
    engine: Engine = meter.engine
    engine.catalog.apply("studio")
    engine.definitions.create("customer", {"external_id": "acme", "name": "Acme"})
    engine.subscriptions.create(
        {
            "external_customer_id": "acme",
            "plan_id": "ai_pro",
            "currency": "usd",
            "billing_period": "MONTHLY",
            "start_date": "2026-01-01T00:00:00Z",
        }
    )
    make(meter)
    meter.flush(30)
    (event,) = engine.events().events
    start, end = event.timestamp, event.timestamp.replace(year=2099)
    told = engine.invoice("acme", start=start, end=end)
    assert meter.shutdown()
    billed = {x["display_name"]: x["amount"] for x in told["line_items"] if x["amount"] != "0.00"}
    assert billed.get(price) == amount, json.dumps(event.to_dict(), indent=1)
    assert len(billed) == (2 if price.startswith("gpt") else 1)
    assert told["unpriced"] == []
