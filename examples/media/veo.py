"""A Veo video: a job whose seconds, sound and resolution stand in its request alone."""

import time

from google import genai
from google.genai import types
from replay import offline

import tokenmeter

POLL_EVERY_S = 0.1  # 10 with the real service

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("veo"):
    client = genai.Client(enterprise=True)  # google-genai makes videos on Vertex only
    with tokenmeter.attribute(customer="acme", feature="trailer"):
        job = client.models.generate_videos(
            model="veo-3.1-fast-generate-001",
            source=types.GenerateVideosSource(prompt="A lemon tree grows, time lapse"),
            config=types.GenerateVideosConfig(
                number_of_videos=2,
                duration_seconds=6,
                resolution="1080p",
                generate_audio=False,
            ),
        )
    while not job.done:
        time.sleep(POLL_EVERY_S)
        job = client.operations.get(job)  # not attributed: the submit was

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.properties["feature"])
print(event.usage.video_count, "videos,", event.usage.video_seconds, "seconds")
print(event.properties["resolution"], "sound:", event.properties["generate_audio"])
print("cost:", event.properties["cost_usd"], "USD")
