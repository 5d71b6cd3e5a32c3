"""A world of World Labs: one operation, and at its end the credits that it cost."""

import httpx2
from replay import offline

import tokenmeter

API = "https://api.worldlabs.ai/marble/v1"

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("marble"), httpx2.Client(headers={"wlt-api-key": "none"}) as client:
    with tokenmeter.attribute(customer="globex", feature="showroom"):
        operation = client.post(
            f"{API}/worlds:generate",
            json={
                "model": "marble-1.1",
                "world_prompt": {"type": "text", "text_prompt": "A greenhouse at dawn"},
            },
        ).json()
    while not operation["done"]:
        operation = client.get(f"{API}/operations/{operation['operation_id']}").json()

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.usage.world_count, "world")
print(event.properties["quality"], event.properties["input_mode"])
print(event.properties["provider_credits"], "credits,", event.properties["cost_usd"], "USD")
