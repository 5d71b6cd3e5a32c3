"""No SDK: a plain httpx2 (or httpx) call to a provider is metered like any other."""

import httpx2
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("openai_chat"), tokenmeter.attribute(customer="acme"), httpx2.Client() as client:
    answer = client.post(
        "https://api.openai.com/v1/chat/completions",
        headers={"authorization": "Bearer none"},
        json={
            "model": "gpt-5.4-mini",
            "messages": [{"role": "user", "content": "My plant arrived dry. What now?"}],
        },
    )
    answer.raise_for_status()

tokenmeter.flush()
(event,) = meter.backend.events
print(event.properties["provider"], event.properties["operation"], end=" ")
print(event.usage.input_tokens, event.usage.output_tokens)
