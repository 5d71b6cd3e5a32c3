"""DALL-E: no usage in the answer; images are counted, size and quality come from the request."""

from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("dalle"), tokenmeter.attribute(customer="acme", feature="poster"):
    answer = OpenAI().images.generate(
        model="dall-e-3", prompt="A lemon tree on a balcony", size="1024x1792", quality="hd"
    )
    print(answer.data[0].url if answer.data else "nothing")

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.usage.image_count, "image")
print(event.properties["size"], event.properties["quality"], event.properties["cost_usd"], "USD")
