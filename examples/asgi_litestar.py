"""Litestar: the same middleware around the application."""

from litestar import Litestar, post
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient
from openai import AsyncOpenAI
from replay import offline

import tokenmeter
from tokenmeter.asgi import ApiKeys, Incoming, TokenMeterMiddleware

meter = tokenmeter.configure(backend="memory:")  # sqlite:///usage.db keeps the events
tokenmeter.instrument()


@post("/ask")
async def ask() -> str:
    """Answer with what the model says."""
    answer = await AsyncOpenAI().chat.completions.create(
        model="gpt-5.4-mini",
        messages=[{"role": "user", "content": "My plant arrived dry. What now?"}],
    )
    return answer.choices[0].message.content or ""


def ours(request: Incoming) -> bool:
    """Which routes make AI calls."""
    return request.path == "/ask"


metering = DefineMiddleware(
    TokenMeterMiddleware, customer=ApiKeys({"key-of-acme": "acme"}), feature="path", routes=ours
)
app = Litestar([ask], middleware=[metering], logging_config=None)

with offline("openai_chat"), TestClient(app) as client:
    answered = client.post("/ask", headers={"x-api-key": "key-of-acme"})

print(answered.text)
tokenmeter.flush()
(event,) = meter.backend.events
print(event.external_customer_id, event.properties["feature"], event.properties["cost_usd"], "USD")
