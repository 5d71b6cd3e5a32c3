"""Gemini counts thoughts beside the answer; the event's output holds both."""

from google import genai
from replay import offline

from tokenmeter import TokenMeter

meter = TokenMeter(backend="memory:")

with offline("gemini_thoughts"), meter.attribute(customer="globex"):
    client = meter.wrap(genai.Client())
    answer = client.models.generate_content(
        model="gemini-3.5-flash",
        contents="How many heaters do three greenhouses need?",
    )

meter.flush()
(event,) = meter.backend.events
print(answer.text)
print("output tokens:", event.usage.output_tokens)
print("of which thoughts:", event.usage.reasoning_tokens)
print("cost:", event.properties["cost_usd"], "USD")
