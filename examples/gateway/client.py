"""The three SDKs as clients of the gateway: only their base_url and key change."""

from __future__ import annotations

import asyncio
import sys
import time

import anthropic
import httpx2
import openai
from google import genai
from google.genai import types

ACME, GLOBEX = "key-of-acme", "key-of-globex"
START_S = 30.0


def wait_for(gateway: str) -> None:
    """Wait until the gateway answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            httpx2.get(f"{gateway}/v1/models")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"no gateway answers at {gateway}; start it with python -m examples.gateway")


def sync_calls(gateway: str) -> None:
    """Ask with the sync clients, whole and streamed."""
    client = openai.OpenAI(api_key=ACME, base_url=f"{gateway}/v1")
    asked = client.chat.completions.with_raw_response.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": "Hello"}]
    )
    print("openai:", asked.headers["x-tokenmeter-cost"], "USD by the gateway's headers")
    stream = client.chat.completions.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    print("openai, streamed:", sum(1 for _ in stream), "chunks")
    price = httpx2.post(
        f"{gateway}/tokenmeter/preview",
        json={"model": "gpt-image-1", "prompt": "a lemon tree", "size": "1024x1024", "n": 2},
        headers={"x-api-key": ACME},
    ).json()
    print("two images would cost:", price["cost"])
    options = types.HttpOptions(base_url=gateway)
    google = genai.Client(api_key=GLOBEX, http_options=options)
    answer = google.models.generate_content(model="gemini-3.5-flash", contents="Hello")
    print("google-genai:", answer.usage_metadata and answer.usage_metadata.total_token_count)


async def async_calls(gateway: str) -> None:
    """Ask with an async client."""
    async with (
        anthropic.AsyncAnthropic(api_key=GLOBEX, base_url=gateway) as client,
        client.messages.stream(
            model="claude-sonnet-4-6",
            max_tokens=300,
            messages=[{"role": "user", "content": "Hello"}],
        ) as stream,
    ):
        message = await stream.get_final_message()
    print("anthropic, async and streamed:", message.usage.output_tokens, "tokens")


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    wait_for(address)
    sync_calls(address)
    asyncio.run(async_calls(address))
    try:
        openai.OpenAI(api_key="unknown", base_url=f"{address}/v1").models.list()
    except openai.AuthenticationError as error:
        print("without a key:", error.status_code)
