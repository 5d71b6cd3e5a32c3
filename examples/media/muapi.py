"""MuAPI charges at the submit; what only the request knew is kept until the result is seen."""

import httpx2
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
client = tokenmeter.wrap(httpx2.Client(headers={"x-api-key": "none"}))

PLACE = "https://api.muapi.ai/api/v1"
ASKED = {
    "prompt": "One leaf falls.",
    "images_list": ["https://files.example/leaf.jpg"],
    "duration": 5,
    "resolution": "1080p",
}

with offline("muapi"):
    with tokenmeter.attribute(customer="acme"):
        job = client.post(f"{PLACE}/seedance-2-image-to-video", json=ASKED).json()
    client.get(f"{PLACE}/predictions/{job['request_id']}/result")

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.properties["model"], event.properties["resolution"])
print(event.usage.video_seconds, "seconds for", event.external_customer_id, end=", ")
print(event.properties["cost_usd"], "USD,", event.properties["cost_source"])
