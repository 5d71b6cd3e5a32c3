"""Kling has no SDK: plain httpx2 (or httpx) calls to its API give one event per task."""

import httpx2
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

PLACE = "https://api-singapore.klingai.com/v1/videos/image2video"
ASKED = {
    "model_name": "kling-v2-6",
    "image": "https://files.example/pot.jpg",
    "prompt": "The pot turns once.",
    "mode": "pro",
    "duration": "10",
    "sound": "on",
}

with offline("kling"), httpx2.Client(headers={"authorization": "Bearer none"}) as client:
    with tokenmeter.attribute(customer="acme", tags={"team": "shop"}):
        task = client.post(PLACE, json=ASKED).json()["data"]
    while task["task_status"] in {"submitted", "processing"}:
        print(task["task_status"])
        task = client.get(f"{PLACE}/{task['task_id']}").json()["data"]

tokenmeter.flush()
(event,) = meter.backend.events
said = event.properties["video_seconds_actual"]
print(event.properties["model"], event.properties["resolution"], event.external_customer_id)
print(f"{event.usage.video_seconds} seconds are billed, {said} delivered", end=", ")
print(event.properties["provider_units"], "units,", event.properties["cost_usd"], "USD")
