"""Junk in any place of what the later adapters are asked and answer: jobs, agents, gateways."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.junk import settled, spoiled
from tests.providers.media import is_clean
from tokenmeter.providers import Call, Request, find
from tokenmeter.usage import METRICS

Json = dict[str, Any]
CHAT: Json = {
    "id": "c1",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_creation": {}},
    },
}
TIMED = {**CHAT, "usage": None, "timings": {"prompt_n": 9, "predicted_n": 2, "cache_n": 4}}
CALLS = {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5}
TRACE = {
    "orchestrationTrace": {
        "modelInvocationInput": {"traceId": "t", "foundationModel": "amazon.nova-pro-v1:0"},
        "modelInvocationOutput": {
            "traceId": "t",
            "metadata": {"usage": {"inputTokens": 9, "outputTokens": 2}},
        },
    }
}
MADE = {"object": "video.generation", "n_seconds": 5}
SHOT = {"multiShotManualParams": {"shots": [{"text": "x", "image": {}}]}, "taskType": "x"}
RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
AGENTS = "https://bedrock-agent-runtime.us-east-1.amazonaws.com"


class Flow(NamedTuple):
    """A request and what may be answered to it, one payload after another."""

    method: str
    url: str
    body: Json
    payloads: list[Json]


FLOWS = {
    "perplexity": Flow(
        "POST",
        "https://api.perplexity.ai/async/chat/completions",
        {"request": {"model": "sonar"}},
        [{"id": "j", "status": "COMPLETED", "response": CHAT, "error": None}],
    ),
    "llama.cpp": Flow(
        "POST", "https://x.test/v1/chat/completions", {"model": "m", "messages": []}, [TIMED]
    ),
    "databricks": Flow(
        "POST", "https://x.test/serving-endpoints/m/invocations", {"messages": []}, [CHAT]
    ),
    "agent": Flow(
        "POST",
        f"{AGENTS}/agents/s1",
        {"foundationModel": "amazon.nova-pro-v1:0"},
        [{":event-type": "trace", "trace": TRACE}, {":event-type": "chunk"}],
    ),
    "knowledge": Flow(
        "POST",
        f"{AGENTS}/retrieveAndGenerate",
        {"retrieveAndGenerateConfiguration": {"knowledgeBaseConfiguration": {"modelArn": "a"}}},
        [{"output": {"text": "x"}}],
    ),
    "rerank": Flow(
        "POST",
        f"{AGENTS}/rerank",
        {"rerankingConfiguration": {"bedrockRerankingConfiguration": {"modelConfiguration": {}}}},
        [{"results": []}],
    ),
    "async": Flow(
        "POST",
        f"{RUNTIME}/async-invoke",
        {"modelId": "amazon.nova-reel-v1:0", "modelInput": SHOT},
        [
            {"invocationArn": "arn:a/b", "status": "Completed", "modelArn": "nova-reel"},
            {"asyncInvokeSummaries": [{"invocationArn": "arn:a/b", "status": "Failed"}]},
        ],
    ),
    "dream": Flow(
        "POST",
        "https://api.anthropic.com/v1/dreams",
        {"model": {"id": "m"}},
        [
            {
                "type": "dream",
                "id": "d",
                "status": "completed",
                "usage": CALLS,
                "model": {"id": "m"},
            }
        ],
    ),
    "eval": Flow(
        "POST",
        "https://api.openai.com/v1/evals/e/runs",
        {"model": "m"},
        [
            {
                "object": "eval.run",
                "id": "r",
                "status": "completed",
                "per_model_usage": [{"model_name": "m", "prompt_tokens": 3}] * 2,
            }
        ],
    ),
    "vercel": Flow(
        "POST",
        "https://ai-gateway.vercel.sh/v3/ai/image-model",
        {},
        [
            {"type": "response-metadata", "modelId": "m", "id": "x"},
            {
                "images": ["a"],
                "usage": {"inputTokens": {"total": 4, "cacheRead": 1}, "outputTokens": 5},
                "providerMetadata": {"gateway": {"cost": "0.1"}},
            },
        ],
    ),
    "azure": Flow(
        "POST",
        "https://r.openai.azure.com/openai/v1/video/generations/jobs",
        {"n_seconds": "5", "width": 1280, "height": "720"},
        [
            {
                "object": "video.generation.job",
                "id": "t",
                "status": "succeeded",
                "generations": [MADE, MADE],
            }
        ],
    ),
}


def asked(flow: Flow, body: Json) -> Call | None:
    url = urlsplit(flow.url)
    host = url.hostname or ""
    adapter = find(host, url.path)
    assert adapter is not None
    return adapter.describe(Request(flow.method, host, url.path, "", {}, body))


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_junk_becomes_no_number_and_no_text(flow: Flow, data: st.DataObject) -> None:
    body, *payloads = data.draw(spoiled([flow.body, *flow.payloads]))
    call = asked(flow, body if isinstance(body, dict) else {})
    if call is None:
        return
    reading = settled(call, payloads)
    assert is_clean(reading)
    for usage in (call.usage, reading.usage, *(part.usage for part in reading.parts)):
        assert usage.keys() <= METRICS
    assert all(is_clean(job) for job in reading.jobs)
    assert reading.error_type != "prompt text"


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_what_is_not_spoiled_is_read(flow: Flow) -> None:
    call = asked(flow, flow.body)
    assert call is not None
    assert settled(call, flow.payloads[:2]).state is not None
