"""Where pending jobs are asked for, and webhooks of providers whose adapters do much else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import Json, read
from tokenmeter.providers import adapters
from tokenmeter.providers.polls import POLLS, poll_of

VERTEX = "projects/p/locations/"
OURS = "publishers/google/models/veo-3.1-generate-001/operations/o1"
OPERATION = "models/veo-3.1-generate-preview/operations/o1"
WEBHOOKS: dict[str, Any] = {adapter.name: adapter.webhook for adapter in adapters()}


@pytest.mark.parametrize(
    ("provider", "job_id", "facts", "address"),
    [
        ("openai", "video_1", {}, "https://api.openai.com/v1/videos/video_1"),
        ("openai", "resp_1", {}, "https://api.openai.com/v1/responses/resp_1"),
        ("openai", "thread_1", {}, None),
        ("google", OPERATION, {}, f"https://generativelanguage.googleapis.com/v1beta/{OPERATION}"),
        ("google", "i1", {}, "https://generativelanguage.googleapis.com/v1beta/interactions/i1"),
        ("google-vertex", f"{VERTEX}us-east5/{OURS}", {}, f"https://us-east5-aiplatform.googleapis.com/v1/{VERTEX}us-east5/{OURS[:-14]}:fetchPredictOperation"),
        ("google-vertex", f"{VERTEX}global/{OURS}", {}, f"https://aiplatform.googleapis.com/v1/{VERTEX}global/{OURS[:-14]}:fetchPredictOperation"),
        ("google-vertex", "projects/p/locations/l/batchPredictionJobs/7", {}, None),
        ("google-vertex", f"{VERTEX}evil.test%2F/{OURS}", {}, None),
        ("byteplus", "c", {"region": "cn-beijing"}, "https://ark.cn-beijing.volces.com/api/v3/contents/generations/tasks/c"),
        ("kling", "k", {"region": "global"}, "https://api.klingai.com/tasks?task_ids=k"),
        ("alibaba", "a", {"region": "cn-beijing"}, "https://dashscope.aliyuncs.com/api/v1/tasks/a"),
        ("alibaba", "a", {}, "https://dashscope-intl.aliyuncs.com/api/v1/tasks/a"),
        ("fal", "r", {"model": "fal-ai/flux/dev"}, "https://queue.fal.run/fal-ai/flux/requests/r"),
        ("fal", "r", {"model": "workflows/me/x/y"}, "https://queue.fal.run/workflows/me/x/requests/r"),
        ("fal", "r", {}, None),
        ("minimax", "m", {"operation": "v2.video_generation"}, "https://api.minimax.io/v2/query/video_generation/m"),
        ("minimax", "m", {"region": "cn"}, "https://api.minimaxi.com/v1/query/video_generation?task_id=m"),
        ("replicate", "p/1", {}, "https://api.replicate.com/v1/predictions/p%2F1"),
        ("anthropic", "msgbatch_1", {}, "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results"),
        ("anthropic", "drm_1", {}, None),
        ("perplexity", "j", {}, "https://api.perplexity.ai/async/chat/completions/j"),
        ("nobody", "x", {}, None),
    ],
)  # fmt: skip
def test_every_job_has_its_address(
    provider: str, job_id: str, facts: Json, address: str | None
) -> None:
    poll = poll_of(provider, job_id, facts)
    assert (None if poll is None else poll.url) == address


@pytest.mark.parametrize("provider", POLLS)
def test_a_key_is_sent_as_its_vendor_wants_it(provider: str) -> None:
    facts = {"model": "fal-ai/flux/dev"}
    named = f"{VERTEX}global/{OURS}" if provider == "google-vertex" else "video_1"
    poll = poll_of(provider, named, facts)
    assert poll is not None
    assert poll.url.startswith("https://")
    assert poll.header == poll.header.lower()
    assert all(name == name.upper() for name in poll.variables)


@pytest.mark.parametrize(
    ("provider", "body", "job_id", "state"),
    [
        (
            "openai",
            {"object": "video", "id": "video_1", "status": "completed"},
            "video_1",
            "success",
        ),
        (
            "openai",
            {"object": "response", "id": "resp_1", "status": "queued"},
            "resp_1",
            "pending",
        ),
        ("openai", {"object": "batch", "id": "batch_1", "status": "expired"}, "batch_1", "failed"),
        (
            "openai",
            {"object": "event", "type": "video.failed", "data": {"id": "video_1"}},
            "video_1",
            "pending",
        ),
        ("google", {"name": OPERATION, "done": True}, OPERATION, "failed"),
        ("google", {"name": OPERATION}, OPERATION, "pending"),
        (
            "google",
            {"object": "interaction", "id": "i1", "status": "in_progress"},
            "i1",
            "pending",
        ),
    ],
)
def test_a_body_that_tells_of_a_job_is_read_as_its_poll_is(
    provider: str, body: Json, job_id: str, state: str
) -> None:
    call = WEBHOOKS[provider](body)
    assert (call.job_id, call.repeated, call.provider) == (job_id, True, provider)
    assert read(call, body).state == state


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("openai", {}),
        ("openai", {"object": "video"}),
        ("openai", {"object": "chat.completion", "id": "c"}),
        ("openai", {"object": "event", "type": "video.completed", "data": 7}),
        ("openai", {"object": "event", "type": 7, "data": {"id": "v"}}),
        ("google", {}),
        ("google", {"name": "files/f1"}),
        ("google", {"name": 7}),
        ("google", {"object": "interaction"}),
    ],
)
def test_what_tells_of_no_job_is_no_webhook(provider: str, body: Json) -> None:
    assert WEBHOOKS[provider](body) is None
