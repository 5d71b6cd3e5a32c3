"""FastAPI: the calls of every request are metered for the customer whose key it carries."""

import json

from fastapi import FastAPI
from fastapi.testclient import TestClient
from openai import AsyncOpenAI
from replay import offline

import tokenmeter
from tokenmeter.asgi import ApiKeys, Incoming, TokenMeterMiddleware

meter = tokenmeter.configure(backend="memory:")  # sqlite:///usage.db keeps the events
tokenmeter.instrument()
app = FastAPI()


def ours(request: Incoming) -> bool:
    """Which of our own routes make AI calls."""
    return request.path.startswith("/ask")


app.add_middleware(
    TokenMeterMiddleware, customer=ApiKeys({"key-of-acme": "acme"}), feature="path", routes=ours
)


@app.post("/ask")
async def ask() -> str:
    answer = await AsyncOpenAI().chat.completions.create(
        model="gpt-5.4-mini",
        messages=[{"role": "user", "content": "My plant arrived dry. What now?"}],
    )
    return answer.choices[0].message.content or ""


with offline("openai_chat"):
    answered = TestClient(app).post("/ask", headers={"x-api-key": "key-of-acme"})

print(answered.json())
print("run:", answered.headers["x-tokenmeter-run-id"])
print("usage:", json.loads(answered.headers["x-tokenmeter-usage"])["output_tokens"], "tokens out")
tokenmeter.flush()
(event,) = meter.backend.events
print(event.external_customer_id, event.properties["feature"], event.properties["cost_usd"], "USD")
