"""Seedream through BytePlus's Ark SDK: of a series, the images that were made are billed."""

from byteplussdkarkruntime import Ark
from byteplussdkarkruntime.types.images import SequentialImageGenerationOptions
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("seedream"), tokenmeter.attribute(customer="acme"):
    answer = Ark(api_key="none").images.generate(
        model="seedream-4-5-251128",
        prompt="Three care cards for a lemon tree, one per season.",
        size="2K",
        sequential_image_generation="auto",
        sequential_image_generation_options=SequentialImageGenerationOptions(max_images=3),
    )
print(len(answer.data), "answers, one of them an error")

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.properties["size"], event.usage.image_count, "images", end=" ")
print(event.properties["cost_usd"], "USD")
