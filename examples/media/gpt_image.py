"""GPT Image, streamed: tokens by kind; the partial images on the way are no images."""

from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("gpt_image"), tokenmeter.attribute(customer="acme", feature="poster"):
    stream = OpenAI().images.generate(
        model="gpt-image-2",
        prompt="A lemon tree on a balcony",
        size="1024x1024",
        quality="high",
        partial_images=1,
        stream=True,
    )
    for picture in stream:
        print(picture.type)

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.usage.image_count, "image")
print("tokens:", event.usage.input_tokens, "in,", event.usage.output_image_tokens, "out")
print("cost:", event.properties["cost_usd"], "USD")
