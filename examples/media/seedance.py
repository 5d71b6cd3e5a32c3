"""Seedance through BytePlus's Ark SDK: a task is submitted, polled, and becomes one event."""

from byteplussdkarkruntime import Ark
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("seedance"):
    tasks = Ark(api_key="none").content_generation.tasks
    with tokenmeter.attribute(customer="acme", feature="shop-window"):
        task = tasks.create(
            model="seedance-1-5-pro-251215",
            content=[{"type": "text", "text": "A lemon tree in the first snow."}],
            resolution="720p",
            ratio="16:9",
            duration=5,
            generate_audio=True,
        )
    video = tasks.get(task_id=task.id)  # perhaps in another process, days later
    while video.status == "running":
        print(video.status)  # wait here, between the polls of a real call
        video = tasks.get(task_id=task.id)

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.properties["feature"])
print(
    event.usage.video_tokens, "tokens,", event.usage.video_seconds, "seconds with sound:", end=" "
)
print(event.properties["generate_audio"], event.properties["cost_usd"], "USD")
