"""Meter every call of a program: one line to switch on, one to say whose call it is."""

from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")  # sqlite:///usage.db keeps the events
tokenmeter.instrument()

with offline("openai_chat"), tokenmeter.attribute(customer="acme", feature="support"):
    answer = OpenAI().chat.completions.create(
        model="gpt-5.4-mini",
        messages=[{"role": "user", "content": "My plant arrived dry. What now?"}],
    )

print(answer.choices[0].message.content)

tokenmeter.flush()
for event in meter.backend.events:
    print(event.external_customer_id, "used", event.properties["model"])
    print("input:", event.usage.input_tokens, "output:", event.usage.output_tokens)
    print("cost:", event.properties["cost_usd"], "USD")
