"""Every price of the studio is hit by an event of a client call, not only by hand-written ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest
from byteplussdkarkruntime import Ark
from google import genai
from google.genai import types

from tests.capture.play import Answer, Player
from tests.providers.media import FLUSH_S
from tokenmeter import TokenMeter

Json = dict[str, Any]
Made = Callable[[TokenMeter], None]
START = datetime.now(UTC) - timedelta(days=5)
SEEDANCE = "seedance-1-5-pro-251215"
VERTEX = "projects/p/locations/us-central1/publishers/google/models"
KLING = "https://api-singapore.klingai.com"
HAPPY = "https://happyhorse.app/api"
IMAGE = {"created": 1790000000, "data": [{"url": "https://x/1.png"}]}


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[TokenMeter]:
    made = TokenMeter(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path)
    made.engine.catalog.apply("studio")
    made.engine.definitions.create("customer", {"external_id": "acme", "name": "Acme"})
    made.engine.subscriptions.create(
        {
            "external_customer_id": "acme",
            "plan_id": "ai_pro",
            "currency": "usd",
            "billing_period": "MONTHLY",
            "start_date": START,
        }
    )
    yield made
    made.shutdown()


def player(*bodies: Json) -> Player:
    told = {"content-type": "application/json"}
    return Player([Answer(200, told, [json.dumps(body).encode()]) for body in bodies])


def openai_of(*bodies: Json) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=player(*bodies).client(), max_retries=0)


def dall_e(model: str, quality: Any = openai.NOT_GIVEN) -> Made:
    def made(meter: TokenMeter) -> None:
        client = meter.wrap(openai_of(IMAGE))
        client.images.generate(model=model, prompt="x", quality=quality)

    return made


def gpt_image(meter: TokenMeter) -> None:
    usage = {
        "input_tokens": 1200,
        "input_tokens_details": {"text_tokens": 1200, "image_tokens": 0},
        "output_tokens": 4160,
        "total_tokens": 5360,
    }
    answer = {**IMAGE, "data": [{"b64_json": "aGk="}], "size": "1024x1024", "usage": usage}
    client = meter.wrap(openai_of(answer))
    client.images.generate(model="gpt-image-1", prompt="x", quality="high")


def veo(model: str, **config: Any) -> Made:
    """Submit through google-genai, poll without attribution."""

    def made(meter: TokenMeter) -> None:
        name = f"{VERTEX}/{model}/operations/o1"
        done = {"videos": [{"gcsUri": "gs://x/1.mp4"}]}
        answers = player({"name": name}, {"name": name, "done": True, "response": done})
        options = types.HttpOptions(httpx_client=answers.client())
        client = meter.wrap(genai.Client(enterprise=True, api_key="k", http_options=options))
        job = client.models.generate_videos(
            model=model,
            source=types.GenerateVideosSource(prompt="x"),
            config=types.GenerateVideosConfig(**config),
        )
        assert client.operations.get(job).done

    return made


def seedance(*, generate_audio: bool | None) -> Made:
    """Submit and poll through Ark's own SDK; the echo says whether there is sound."""

    def made(meter: TokenMeter) -> None:
        told = {"id": "cgt-1", "model": SEEDANCE, "status": "succeeded", "duration": 5}
        done = {**told, "usage": {"completion_tokens": 982_344}}
        if generate_audio is not None:
            done["generate_audio"] = generate_audio
        client = Ark(api_key="k", http_client=player({"id": "cgt-1"}, done).client(httpx))
        meter.wrap(client)
        asked: Any = {"model": SEEDANCE, "content": [{"type": "text", "text": "x"}]}
        if generate_audio is not None:
            asked["generate_audio"] = generate_audio
        task = client.content_generation.tasks.create(**asked)
        client.content_generation.tasks.get(task_id=task.id)

    return made


def kling(place: str, body: Json) -> Made:
    def made(meter: TokenMeter) -> None:
        video = {"id": "v", "url": "https://x/1.mp4", "duration": "5.041"}
        submitted = {"code": 0, "data": {"task_id": "k1", "task_status": "submitted"}}
        ended = {"task_status": "succeed", "task_result": {"videos": [video]}}
        answers = player(submitted, {"code": 0, "data": {"task_id": "k1", **ended}})
        client = meter.wrap(answers.client(httpx2, base_url=KLING))
        client.post(f"/v1/videos/{place}", json=body)
        client.get(f"/v1/videos/{place}/k1")

    return made


def happyhorse(**body: Any) -> Made:
    def made(meter: TokenMeter) -> None:
        ended = {"status": "SUCCESS", "response": {"resultUrls": ["https://x/1.mp4"]}}
        answers = player({"data": {"task_id": "h1"}}, {"data": {"task_id": "h1", **ended}})
        client = meter.wrap(answers.client(httpx2))
        client.post(f"{HAPPY}/generate", json={"prompt": "x", **body})
        client.get(f"{HAPPY}/status?task_id=h1")

    return made


# What is called -> the studio's prices that it must hit, and what they come to.
CALLS: list[tuple[Made, dict[str, str]]] = [
    (dall_e("dall-e-2"), {"dalle2_1024": "0.02"}),
    (dall_e("dall-e-3"), {"dalle3_1024_std": "0.04"}),
    (dall_e("dall-e-3", "hd"), {"dalle3_1024_hd": "0.08"}),
    (gpt_image, {"gpt_image_input_tokens": "0.01", "gpt_image_output_tokens": "0.17"}),
    (
        veo("veo-3.1-lite-generate-001", duration_seconds=8, resolution="1080p"),
        {"veo_3_1_lite_1080p_sec": "0.64"},
    ),
    (
        veo("veo-3.1-generate-001", duration_seconds=8, resolution="4k"),
        {"veo_3_1_4k_sec": "4.80"},
    ),
    (seedance(generate_audio=False), {"seedance_1_5_pro_tokens": "1.18"}),
    (seedance(generate_audio=True), {"seedance_1_5_pro_tokens_audio": "2.36"}),
    (
        kling("text2video", {"model_name": "kling-v2-5-turbo", "duration": "5"}),
        {"kling_v2_5_turbo_std_sec": "0.25"},
    ),
    (
        kling("image2video", {"model_name": "kling-v2-5-turbo", "image": "u"}),
        {"kling_v2_5_turbo_std_sec": "0.25"},
    ),
    (
        kling("omni-video", {"model_name": "kling-video-o1", "mode": "pro"}),
        {"kling_omni_pro_sec": "0.60"},
    ),
    (happyhorse(), {"happyhorse_std_job": "1.80"}),
    (happyhorse(mode="pro", duration=10), {"happyhorse_pro_job": "2.40"}),
]


@pytest.mark.parametrize(
    ("made", "charged"), CALLS, ids=[f"{n}-{'-'.join(c)}" for n, (_, c) in enumerate(CALLS)]
)
def test_a_client_call_hits_its_price(
    meter: TokenMeter, made: Made, charged: dict[str, str]
) -> None:
    with meter.attribute(customer="acme"):
        made(meter)
    assert meter.flush(FLUSH_S)
    told = meter.engine.invoice("acme", start=START, end=START + timedelta(days=30))
    lines = {
        line["display_name"]: line["amount"]
        for line in told["line_items"]
        if Decimal(line["quantity"])
    }
    assert (lines, told["unpriced"]) == (charged, [])


def test_every_price_of_the_studio_is_hit() -> None:
    hit = {name for _, charged in CALLS for name in charged}
    text = (Path(__file__).parents[2] / "src/tokenmeter/catalog/studio.yaml").read_text()
    plan = text.partition("prices:\n")[2]
    named = {
        line.strip(" :")
        for line in plan.splitlines()
        if line.startswith("      ") and line[6] != " "
    }
    assert hit == named


def test_where_neither_request_nor_answer_speaks_of_sound_the_documented_default_is_billed(
    meter: TokenMeter,
) -> None:
    with meter.attribute(customer="acme"):
        seedance(generate_audio=None)(meter)
    assert meter.flush(FLUSH_S)
    (event,) = meter.engine.events().events
    assert event.properties["generate_audio"] == "true"  # since Seedance 1.5
