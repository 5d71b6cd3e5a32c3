"""From a captured call to an invoice: a catalog, a customer, a plan; in one SQLite database."""

from datetime import timedelta

from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="sqlite:///:memory:")  # sqlite:///shop.db keeps it
tokenmeter.instrument()
engine = meter.engine

engine.catalog.apply("llm")  # chat models at the provider's price plus 20 %
engine.definitions.create("customer", {"external_id": "acme", "name": "Acme Inc."})
engine.subscriptions.create(
    {
        "external_customer_id": "acme",
        "plan_id": "chat",
        "currency": "usd",
        "billing_period": "MONTHLY",
        "start_date": "2026-11-01T00:00:00Z",  # the recorded answer is of November 2026
    }
)

with offline("openai_chat"), tokenmeter.attribute(customer="acme", feature="support"):
    OpenAI().chat.completions.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": "Why is it dry?"}]
    )
tokenmeter.record("world_generated", usage={"world_count": 1}, customer="acme", model="marble")
tokenmeter.flush()

(event,) = engine.events(filters={"event_name": "text_generated"}).events
start, end = event.timestamp.replace(day=1), event.timestamp + timedelta(days=1)
usage = engine.rate("acme", start=start, end=end)
for charge in usage["charges"]:
    if charge["amount"] != "0":
        print(charge["meter_display_name"], charge["quantity"], charge["amount"])
print("cost:", event.properties["cost_usd"], "USD, charge:", engine.charge(event).amount, "USD")
