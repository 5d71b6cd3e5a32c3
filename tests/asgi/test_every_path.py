"""What an adapter meters at its provider, the gateway meters below that provider's prefix."""

from __future__ import annotations

from typing import Any

import pytest

from tokenmeter.asgi.routes import Route, Routes
from tokenmeter.providers import Call, Request, adapters, find
from tokenmeter.providers.compatible import COMPATIBLE
from tokenmeter.providers.openai_routes import ROUTES

Body = dict[str, Any]
M: Body = {"model": "m", "input": "x", "prompt": "x", "messages": [], "documents": ["x"]}
AGENTS = "bedrock-agent-runtime.us-east-1.amazonaws.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
FOUNDRY = "mine.services.ai.azure.com"
GEMINI = "generativelanguage.googleapis.com"
VERTEX = "us-central1-aiplatform.googleapis.com"
PLACE = "/v1/projects/p/locations/l"
TASKS = "/api/v3/contents/generations/tasks"
SERVICES = "/api/v1/services/aigc"

# provider, host, method, path, body
PATHS: list[tuple[str, str, str, str, Body]] = [
    (
        "alibaba",
        "dashscope-intl.aliyuncs.com",
        "POST",
        f"{SERVICES}/text-generation/generation",
        M,
    ),
    (
        *("alibaba", "dashscope.aliyuncs.com", "POST"),
        f"{SERVICES}/multimodal-generation/generation",
        {"model": "qwen-image"},
    ),
    ("alibaba", "dashscope-intl.aliyuncs.com", "GET", "/api/v1/tasks/t", {}),
    ("alibaba", "dashscope-intl.aliyuncs.com", "POST", "/compatible-mode/v1/chat/completions", M),
    ("anthropic", "api.anthropic.com", "POST", "/v1/messages", M),
    ("anthropic", "api.anthropic.com", "POST", "/v1/complete", M),
    ("anthropic", "api.anthropic.com", "POST", "/v1/messages/batches", {}),
    ("anthropic", "api.anthropic.com", "GET", "/v1/messages/batches/b", {}),
    ("anthropic", "api.anthropic.com", "GET", "/v1/messages/batches/b/results", {}),
    ("anthropic", "api.anthropic.com", "POST", "/v1/dreams", M),
    ("anthropic", "api.anthropic.com", "GET", "/v1/dreams/d", {}),
    ("azure", "r.openai.azure.com", "POST", "/openai/deployments/m/chat/completions", M),
    ("azure", "r.openai.azure.com", "POST", "/openai/v1/responses", M),
    ("azure", "r.openai.azure.com", "POST", "/openai/v1/video/generations/jobs", M),
    ("azure", "r.openai.azure.com", "GET", "/openai/v1/video/generations/jobs/j", {}),
    ("azure", FOUNDRY, "POST", "/anthropic/v1/messages", M),
    ("azure", FOUNDRY, "POST", "/models/chat/completions", M),
    ("azure", FOUNDRY, "POST", "/providers/cohere/v2/rerank", M),
    ("azure", FOUNDRY, "POST", "/providers/mistral/azure/ocr", M),
    ("azure", FOUNDRY, "POST", "/providers/blackforestlabs/v1/flux-2-pro", M),
    ("bedrock", BEDROCK, "POST", "/model/m/converse-stream", {}),
    ("bedrock", BEDROCK, "POST", "/model/m/invoke", {}),
    ("bedrock", BEDROCK, "POST", "/openai/v1/chat/completions", M),
    ("bedrock", BEDROCK, "POST", "/anthropic/v1/messages", M),
    ("bedrock", BEDROCK, "POST", "/async-invoke", {"modelId": "amazon.nova-reel-v1:1"}),
    ("bedrock", BEDROCK, "GET", "/async-invoke/arn:aws:bedrock:us-east-1:1:async-invoke/x", {}),
    ("bedrock", AGENTS, "POST", "/agents/A/agentAliases/B/sessions/C/text", {}),
    ("bedrock", AGENTS, "POST", "/agents/A", {}),
    ("bedrock", AGENTS, "POST", "/retrieveAndGenerate", {}),
    ("bedrock", AGENTS, "POST", "/retrieveAndGenerateStream", {}),
    ("bedrock", AGENTS, "POST", "/rerank", {}),
    ("bfl", "api.bfl.ai", "POST", "/v1/flux-pro-1.1", M),
    ("byteplus", "ark.ap-southeast.bytepluses.com", "POST", TASKS, {"model": "seedance-2-0"}),
    ("byteplus", "ark.cn-beijing.volces.com", "GET", f"{TASKS}/t", {}),
    ("byteplus", "ark.ap-southeast.bytepluses.com", "POST", "/api/v3/images/generations", M),
    ("byteplus", "ark.ap-southeast.bytepluses.com", "POST", "/api/v3/embeddings/multimodal", M),
    ("byteplus", "ark.ap-southeast.bytepluses.com", "POST", "/api/v3/responses", M),
    ("byteplus", "ark.ap-southeast.bytepluses.com", "POST", "/api/v3/batch/chat/completions", M),
    (
        *("cloudflare", "api.cloudflare.com", "POST"),
        "/client/v4/accounts/a/ai/run/@cf/meta/llama-3.1-8b-instruct",
        M,
    ),
    ("cohere", "api.cohere.com", "POST", "/v2/chat", M),
    ("cohere", "api.cohere.com", "POST", "/v2/rerank", M),
    ("voyage", "api.voyageai.com", "POST", "/v1/multimodalembeddings", M),
    ("databricks", "databricks", "POST", "/serving-endpoints/e/invocations", M),
    ("deepgram", "api.deepgram.com", "POST", "/v1/listen", {}),
    ("elevenlabs", "api.elevenlabs.io", "POST", "/v1/text-to-speech/v/stream", {"text": "x"}),
    ("fal", "queue.fal.run", "POST", "/fal-ai/flux/dev", M),
    ("fal", "queue.fal.run", "GET", "/fal-ai/flux/requests/r", {}),
    (
        *("fireworks", "api.fireworks.ai", "POST"),
        "/inference/v1/workflows/accounts/fireworks/models/f/text_to_image",
        M,
    ),
    ("perplexity", "api.perplexity.ai", "POST", "/search", M),
    ("gateways", "gateway.ai.cloudflare.com", "POST", "/v1/a/g/openai/responses", M),
    ("google", GEMINI, "POST", "/v1beta/models/m:generateContent", {}),
    ("google", GEMINI, "POST", "/v1beta/models/m:streamGenerateContent", {}),
    ("google", GEMINI, "POST", "/v1beta/models/m:batchGenerateContent", {}),
    ("google", GEMINI, "POST", "/v1beta/models/m:predictLongRunning", {}),
    ("google", GEMINI, "GET", "/v1beta/models/veo-3/operations/o", {}),
    ("google", GEMINI, "GET", "/v1beta/batches/b", {}),
    ("google", GEMINI, "GET", "/download/v1beta/files/batch-b:download", {}),
    ("google", GEMINI, "POST", "/v1beta/interactions", M),
    ("google", GEMINI, "POST", "/v1beta/decisions", M),
    ("google", GEMINI, "POST", "/v1beta/cachedContents", M),
    ("google", GEMINI, "POST", "/v1beta/openai/chat/completions", M),
    ("google-vertex", VERTEX, "POST", f"{PLACE}/publishers/google/models/m:generateContent", {}),
    ("google-vertex", VERTEX, "POST", f"{PLACE}/publishers/anthropic/models/m:rawPredict", M),
    ("google-vertex", VERTEX, "POST", f"{PLACE}/endpoints/openapi/chat/completions", M),
    ("google-vertex", VERTEX, "POST", f"{PLACE}/cachedContents", M),
    ("happyhorse", "happyhorse.app", "POST", "/api/generate", M),
    ("kling", "api.klingai.com", "POST", "/v1/videos/text2video", M),
    ("kling", "api.klingai.com", "POST", "/v1/images/generations", M),
    ("kling", "api.klingai.com", "GET", "/v1/images/generations/i", {}),
    ("kling", "api-singapore.klingai.com", "POST", "/text-to-image/kling-image-4.0", M),
    ("kling", "api-singapore.klingai.com", "POST", "/tasks", {"task_ids": ["t"]}),
    ("kling", "api-singapore.klingai.com", "POST", "/solutions/e-commerce/virtual-try-on", M),
    ("luma", "api.lumalabs.ai", "POST", "/dream-machine/v1/generations", {"model": "ray-2"}),
    ("marble", "api.worldlabs.ai", "POST", "/marble/v1/worlds:generate", {}),
    ("minimax", "api.minimax.io", "POST", "/v1/video_generation", M),
    ("mistral", "api.mistral.ai", "POST", "/v1/ocr", M),
    ("mistral", "api.mistral.ai", "POST", "/v1/conversations", M),
    ("mistral", "api.mistral.ai", "POST", "/v1/batch/jobs", M),
    ("mistral", "api.mistral.ai", "GET", "/v1/batch/jobs/j", {}),
    ("muapi", "api.muapi.ai", "POST", "/api/v1/flux-dev-image", M),
    ("ollama", "localhost:11434", "POST", "/api/chat", M),
    ("perplexity", "api.perplexity.ai", "POST", "/v1/sonar", M),
    ("perplexity", "api.perplexity.ai", "POST", "/v1/agent", M),
    ("perplexity", "api.perplexity.ai", "POST", "/v1/async/sonar", M),
    ("perplexity", "api.perplexity.ai", "GET", "/async/chat/completions/j", {}),
    ("replicate", "api.replicate.com", "POST", "/v1/models/o/m/predictions", {"input": {}}),
    ("runway", "api.dev.runwayml.com", "POST", "/v1/image_to_video", M),
    ("snowflake", "a.snowflakecomputing.com", "POST", "/api/v2/cortex/inference:complete", M),
    ("together", "api.together.xyz", "POST", "/v1/rerank", M),
    ("together", "api.together.xyz", "POST", "/v1/batches", M),
    ("vercel-gateway", "ai-gateway.vercel.sh", "POST", "/v3/ai/language-model", {}),
    ("vercel-gateway", "ai-gateway.vercel.sh", "POST", "/v3/ai/image-model", {}),
    ("watsonx", "us-south.ml.cloud.ibm.com", "POST", "/ml/v1/text/chat", M),
    ("watsonx", "us-south.ml.cloud.ibm.com", "POST", "/ml/v1/text/generation_stream", M),
    ("xai", "api.x.ai", "POST", "/v1/stt", M),
    ("xai", "api.x.ai", "POST", "/v1/videos/generations", M),
    ("xai", "api.x.ai", "GET", "/v1/chat/deferred-completion/d", {}),
    ("zai", "api.z.ai", "POST", "/api/paas/v4/async/chat/completions", M),
    ("zai", "api.z.ai", "GET", "/api/paas/v4/async-result/r", {}),
    ("zai", "api.z.ai", "POST", "/api/paas/v4/videos/generations", M),
    ("zai", "api.z.ai", "POST", "/api/anthropic/v1/messages", M),
]
KNOWN_BARE = {"openai", "anthropic", "google", "google-vertex"}
# Places of `ROUTES` that OpenAI does not have, but others who speak its API.
NOT_OPENAIS = {
    *("rerank", "stt", "tts", "deferred-completion/*", "jobs", "jobs/*", "jobs/*/cancel"),
    "videos/generations",
}


def called(host: str, method: str, path: str, body: Body) -> Call | None:
    adapter = find(host, path)
    request = Request(method, host, path, body=body)
    return None if adapter is None else adapter.describe(request)


def at_the_gateway(route: Route | None, method: str, body: Body) -> Call | None:
    assert route is not None
    assert route.host is not None
    return called(route.host, method, route.path, body)


def said(call: Call | None) -> tuple[str, str, str | None, bool, str | None]:
    assert call is not None
    return call.provider, call.api.operation, call.request_model, call.streamed, call.job_id


@pytest.mark.parametrize(("name", "host", "method", "path", "body"), PATHS)
def test_a_path_below_a_prefix_is_metered_as_at_its_provider(
    name: str, host: str, method: str, path: str, body: Body
) -> None:
    at_provider = called(host, method, path, body)
    found = at_the_gateway(Routes({"/there": name}).known(f"/there{path}"), method, body)
    assert said(found) == said(at_provider)
    by_host = at_the_gateway(Routes({"/there": host}).known(f"/there{path}"), method, body)
    assert said(by_host) == said(at_provider)
    if name in KNOWN_BARE:
        bare = at_the_gateway(Routes({}).known(path), method, body)
        assert said(bare) == said(at_provider)


def test_no_provider_is_left_out() -> None:
    """All others speak OpenAI's API alone."""
    alone = {name for name in COMPATIBLE if name not in {row[0] for row in PATHS}}
    assert alone == {
        *("openai", "groq", "deepseek", "openrouter", "cerebras", "huggingface"),
        *("vllm", "litellm", "deepinfra", "moonshot", "baseten", "ovhcloud", "doubleword"),
        *("arcee", "avian", "github-copilot", "meta"),
    }
    assert {adapter.name for adapter in adapters()} - {"openai"} <= {row[0] for row in PATHS}


@pytest.mark.parametrize(("method", "place"), [key for key in ROUTES if key[1] not in NOT_OPENAIS])
def test_every_path_of_openais_api_is_metered_without_a_prefix(method: str, place: str) -> None:
    path = place.replace("*", "batch_1").replace("evals.runs", "evals/e_1/runs")
    path = path.replace("fine_tuning.", "fine_tuning/")
    if path.startswith("runs"):
        path = f"threads/t_1/{path}"
    call = at_the_gateway(Routes({}).known(f"/v1/{path}"), method, M)
    assert call is not None
    assert call.api.operation == ROUTES[method, place].operation


# Google has it at other paths, which are in the table.
@pytest.mark.parametrize("name", sorted({*COMPATIBLE} - {"google", "google-vertex"}))
def test_whoever_speaks_openais_api_keeps_the_own_name_below_a_prefix(name: str) -> None:
    route = Routes({"/there": name}).known("/there/v1/chat/completions")
    call = at_the_gateway(route, "POST", M)
    assert call is not None
    assert call.provider == name
