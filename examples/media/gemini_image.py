"""A Gemini image: one answer of thoughts and a picture, each at a price of its own."""

from google import genai
from google.genai import types
from replay import offline

from tokenmeter import TokenMeter

meter = TokenMeter(backend="memory:")

with offline("gemini_image"), meter.attribute(customer="globex", feature="poster"):
    client = meter.wrap(genai.Client())
    client.models.generate_content(
        model="gemini-3-pro-image",
        contents="A lemon tree on a balcony",
        config=types.GenerateContentConfig(
            image_config=types.ImageConfig(image_size="4K", aspect_ratio="16:9")
        ),
    )

meter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.usage.image_count, "image")
print("image tokens:", event.usage.output_image_tokens, "of", event.usage.output_tokens)
print("cost:", event.properties["cost_usd"], "USD")
