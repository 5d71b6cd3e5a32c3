"""fal, Replicate, Runway and Luma through their vendors' own clients, to a settled event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
from lumaai import AsyncLumaAI, LumaAI
from replicate.client import Client as Replicate
from runwayml import RunwayML

from tests.capture.play import Answer, Player
from tests.providers.media import FLUSH_S, Json
from tokenmeter import TokenMeter
from tokenmeter.event import Event

if TYPE_CHECKING:
    import pytest

POLL = "https://queue.fal.run/fal-ai/flux/requests/r1"
CLIP = {"id": "g1", "state": "completed", "model": "ray-2", "assets": {"video": "https://x/1.mp4"}}
TASK = {"id": "t1", "createdAt": "2026-11-21T10:00:00Z"}


def player(*bodies: Json, **headers: str) -> Player:
    told = {"content-type": "application/json", **headers}
    return Player([Answer(200, told, [json.dumps(body).encode()]) for body in bodies])


def settled(meter: TokenMeter) -> Event:
    assert meter.flush(FLUSH_S)
    assert (meter.faults, meter.health()["jobs_pending"]) == (0, 0)
    event: Event
    (event,) = meter.backend.events
    assert event.external_customer_id == "acme"
    assert event.properties["outcome"] == "success"
    return event


def no_sleep(_seconds: float) -> None:
    """Poll at once."""


def fal_answers() -> Player:
    urls = {"response_url": POLL, "status_url": f"{POLL}/status", "cancel_url": f"{POLL}/cancel"}
    return player(
        {"request_id": "r1", "status": "IN_QUEUE", "queue_position": 0, **urls},
        {"status": "IN_PROGRESS", "logs": None},
        {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 1.0}},
        {"images": [{"url": "https://x/1.png", "width": 1024, "height": 768}]},
        **{"x-fal-billable-units": "1"},
    )


def test_fal_subscribe_is_one_image(meter: TokenMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    client = fal_client.SyncClient(key="none")
    monkeypatch.setitem(client.__dict__, "_client", fal_answers().client(httpx))
    monkeypatch.setattr("time.sleep", no_sleep)
    meter.instrument()
    with meter.attribute(customer="acme"):
        made: Any = client.subscribe("fal-ai/flux/dev", {"prompt": "a fox"})
    meter.uninstrument()
    assert len(made["images"]) == 1
    event = settled(meter)
    assert (event.usage.image_count, event.properties["billable_units"]) == (1, "1")
    assert event.properties["model"] == "fal-ai/flux/dev"


def test_replicate_is_created_and_reloaded(meter: TokenMeter) -> None:
    started = {"id": "p1", "model": "google/veo-3.1", "version": "hidden", "status": "starting"}
    blank = dict.fromkeys(("input", "output", "logs", "error", "metrics", "created_at"))
    done = {
        **(began := {**blank, **started, "started_at": None, "completed_at": None, "urls": None}),
        "status": "succeeded",
        "output": "https://x/1.mp4",
        "metrics": {"video_output_duration_seconds": 8.0},
    }
    transport = player(began, done).transport(httpx)
    client = Replicate(api_token="none", transport=transport)
    meter.instrument()
    with meter.attribute(customer="acme"):
        prediction = client.predictions.create(model="google/veo-3.1", input={"prompt": "a fox"})
    prediction.reload()
    meter.uninstrument()
    event = settled(meter)
    assert (event.usage.video_seconds, event.properties["model"]) == (8, "google/veo-3.1")


def test_runway_waits_for_its_task(meter: TokenMeter) -> None:
    done = {**TASK, "status": "SUCCEEDED", "output": ["https://x/1.mp4"], "cost": {"credits": 25}}
    submitted = {"id": "t1", "estimatedCost": {"credits": 25}}
    client = RunwayML(api_key="none", http_client=player(submitted, done).client(httpx))
    meter.wrap(client)
    with meter.attribute(customer="acme"):
        task = client.image_to_video.create(
            model="gen4_turbo", prompt_image="https://x/1.jpg", ratio="1280:720", duration=5
        )
    assert client.tasks.retrieve(task.id).status == "SUCCEEDED"
    event = settled(meter)
    assert (event.usage.video_seconds, event.properties["cost_usd"]) == (5, "0.25")
    assert event.properties["resolution"] == "720p"


def test_luma_is_created_and_got(meter: TokenMeter) -> None:
    answers = player({"id": "g1", "state": "queued"}, {**CLIP, "state": "dreaming"}, CLIP)
    client = LumaAI(auth_token="none", http_client=answers.client(httpx))
    meter.wrap(client)
    with meter.attribute(customer="acme"):
        client.generations.create(model="ray-2", prompt="a fox", duration="9s", resolution="4k")
    for _ in range(2):
        client.generations.get("g1")
    event = settled(meter)
    assert (event.usage.video_seconds, event.properties["resolution"]) == (9, "4k")


async def test_luma_is_metered_when_it_is_async(meter: TokenMeter) -> None:
    client = AsyncLumaAI(
        auth_token="none",
        http_client=player({"id": "g1", "state": "queued"}, CLIP).async_client(httpx),
    )
    meter.wrap(client)
    with meter.attribute(customer="acme"):
        await client.generations.create(model="ray-2", prompt="a fox")
    await client.generations.get("g1")
    assert settled(meter).usage.video_seconds == 5
