"""requests: each time that urllib3 sends the request again is an attempt, and one event."""

import requests
from replay import offline
from requests.adapters import HTTPAdapter
from urllib3 import Retry

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()
again = Retry(2, status_forcelist=[429], allowed_methods=None, backoff_factor=0.1)

with offline("openai_retry"), requests.Session() as session:
    session.mount("https://", HTTPAdapter(max_retries=again))
    with tokenmeter.attribute(customer="acme"):
        answer = session.post(
            "https://api.openai.com/v1/chat/completions",
            headers={"authorization": "Bearer none"},
            json={
                "model": "gpt-5.4-mini",
                "messages": [{"role": "user", "content": "Where is order 1042?"}],
            },
            timeout=60,
        )

answer.raise_for_status()
tokenmeter.flush()
for event in meter.backend.events:
    facts = event.properties
    print("attempt", facts["attempt"], facts["outcome"], facts["http_status"], end=" ")
    print(event.usage.get("input_tokens"), event.usage.get("output_tokens"))
