"""Every host that issue 3 names, by one whole exchange: who is billed, for what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture.play import Answer, Player
from tests.capture.wire import JSON
from tests.providers.exchanges import ASK, Json, chat, chat_usage, gemini, message
from tokenmeter import Event, TokenMeter
from tokenmeter.pricing.pricebook import PriceBook

CHAT = "/v1/chat/completions"
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
CLAUDE = f"{VERTEX}/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"
RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
MANTLE = "https://bedrock-mantle.us-east-1.api.aws"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
NAMED = {"llm.internal:8000": "acme"}
COHERE = {"billed_units": {"input_tokens": 9, "output_tokens": 2}, "tokens": {"input_tokens": 80}}
CONVERSE: Json = {"output": {}, "usage": {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}}

OPENAI_LIKE = {
    "https://api.openai.com" + CHAT: "openai",
    "https://r.openai.azure.com/openai/deployments/d/chat/completions": "azure",
    "https://r.services.ai.azure.com/models/chat/completions": "azure",
    "https://api.groq.com/openai/v1/chat/completions": "groq",
    "https://api.mistral.ai" + CHAT: "mistral",
    "https://api.deepseek.com/chat/completions": "deepseek",
    "https://api.x.ai" + CHAT: "xai",
    "https://openrouter.ai/api/v1/chat/completions": "openrouter",
    "https://api.cerebras.ai" + CHAT: "cerebras",
    "https://api.perplexity.ai/chat/completions": "perplexity",
    "https://api.together.xyz" + CHAT: "together",
    "https://api.fireworks.ai/inference/v1/chat/completions": "fireworks",
    "https://router.huggingface.co" + CHAT: "huggingface",
    "https://api.z.ai/api/paas/v4/chat/completions": "zai",
    "https://ai-gateway.vercel.sh" + CHAT: "vercel-gateway",
    "http://localhost:11434" + CHAT: "ollama",
    "http://vllm:8000" + CHAT: "vllm",
    "https://api.cohere.ai/compatibility/v1/chat/completions": "cohere",
    "https://api.anthropic.com" + CHAT: "anthropic",
    f"{GOOGLE}/chat/completions": "google",
    f"{VERTEX}/endpoints/openapi/chat/completions": "google-vertex",
    f"{MANTLE}{CHAT}": "bedrock",
    f"{RUNTIME}/openai/v1/chat/completions": "bedrock",
    "https://llm.internal:8000" + CHAT: "acme",
    "https://elsewhere.test" + CHAT: "elsewhere.test",
}
OF_ITS_OWN: dict[str, tuple[str, Json]] = {
    CLAUDE: ("google-vertex", message({"input_tokens": 9, "output_tokens": 2})),
    f"{MANTLE}/v1/messages": ("bedrock", message({"input_tokens": 9, "output_tokens": 2})),
    f"{RUNTIME}/model/us.amazon.nova-2-lite-v1%3A0/converse": ("bedrock", CONVERSE),
    f"{RUNTIME}/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke": (
        "bedrock",
        message({"input_tokens": 9, "output_tokens": 2}),
    ),
    "https://api.cohere.com/v2/chat": ("cohere", {"id": "c", "message": {}, "usage": COHERE}),
    f"{VERTEX}/publishers/google/models/gemini-2.5-flash:generateContent": (
        "google-vertex",
        gemini({"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}),
    ),
}
SPEAK_CLAUDE = {
    "https://r.services.ai.azure.com/anthropic/v1/messages": "azure",
    "https://api.deepseek.com/anthropic/v1/messages": "deepseek",
    "https://openrouter.ai/api/v1/messages": "openrouter",
    "https://api.z.ai/api/anthropic/v1/messages": "zai",
    "https://ai-gateway.vercel.sh/v1/messages": "vercel-gateway",
}
CLAUDES = {
    url: (name, message({"input_tokens": 9, "output_tokens": 2}))
    for url, name in SPEAK_CLAUDE.items()
}
HOSTS = {
    **{url: (p, chat(chat_usage(9, 2))) for url, p in OPENAI_LIKE.items()},
    **OF_ITS_OWN,
    **CLAUDES,
}


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:", hosts=NAMED)
    made.instrument()
    yield made
    made.shutdown()
    assert not made.faults


def event_of(meter: TokenMeter, url: str, body: Json) -> Event:
    player = Player([Answer(200, dict(JSON), [json.dumps(body).encode()])])
    with meter.run() as run, player.client() as client:
        client.post(url, json=ASK)
    (event,) = run.events
    return event


@pytest.mark.parametrize("url", HOSTS)
def test_a_call_is_billed_by_the_provider_behind_its_host(meter: TokenMeter, url: str) -> None:
    provider, body = HOSTS[url]
    event = event_of(meter, url, body)
    assert event.properties["provider"] == provider
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 2)
    assert event.properties["usage_source"] == "reported"


FREE = """
lists:
  - provider: {}
    source: our own machines
    as_of: 2026-11-01
    prices: [{{model: "*", metric: request_count, price: 0}}]
"""


@pytest.mark.parametrize("provider", ["ollama", "vllm"])
def test_what_runs_on_ones_own_machine_costs_nothing_only_if_one_says_so(
    meter: TokenMeter, tmp_path: Path, provider: str
) -> None:
    url = next(url for url, name in OPENAI_LIKE.items() if name == provider)
    event = event_of(meter, url, chat(chat_usage(9, 2)))
    assert PriceBook().price(event).source == "unpriced"
    assert PriceBook().price(event).cost is None
    mine = tmp_path / "prices.yaml"
    mine.write_text(FREE.format(provider))
    priced = PriceBook(mine).price(event)
    assert priced.source == "computed"
    assert priced.cost == 0
