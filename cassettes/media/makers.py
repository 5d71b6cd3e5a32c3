"""
Write the cassettes of DALL-E, GPT Image, Gemini, Veo, HappyHorse and Marble.

    python cassettes/media/makers.py

The formats are those of the vendors' references; ../write.py turns them into YAML.
"""
# ruff: noqa: INP001, E402 - a script beside its data, not a package

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import wire
import write

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro-image"
VERTEX = "https://aiplatform.googleapis.com/v1beta1"
VEO = "publishers/google/models/veo-3.1-fast-generate-001"
PLACE = "projects/tokenmeter/locations/us-central1"
OPERATION = f"{PLACE}/{VEO}/operations/tokenmeter-0001"
DASHSCOPE = "https://dashscope-intl.aliyuncs.com/api/v1"
TASK = "70ce0000-0000-4000-8000-000000000001"
MARBLE = "https://api.worldlabs.ai/marble/v1"
WORLD = "tokenmeter-0001"
STARTED, ENDED = "2026-11-01T00:00:00Z", "2026-11-01T00:04:40Z"


def dalle() -> dict[str, Any]:
    """Return an image of DALL-E's: no usage, no size, no quality."""
    image = {
        "revised_prompt": "A lemon tree in a pot on a sunny balcony",
        "url": "https://files.example/tokenmeter-1.png",
    }
    return {"created": wire.CREATED, "data": [image]}


def gpt_image() -> str:
    """Return a stream: a partial image, which costs 100 tokens, and the whole one."""
    facts = {
        "b64_json": wire.PNG,
        "background": "opaque",
        "created_at": wire.CREATED,
        "output_format": "png",
        "quality": "high",
        "size": "1024x1024",
    }
    usage = {
        "input_tokens": 14,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 14},
        "output_tokens": 7_124,
        "total_tokens": 7_138,
    }
    partial = {"type": "image_generation.partial_image", "partial_image_index": 0, **facts}
    whole = {"type": "image_generation.completed", **facts, "usage": usage}
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in (partial, whole))


def gemini_image() -> dict[str, Any]:
    """Return an image at 4K, which is 2,000 tokens, after 310 tokens of thoughts."""
    picture = {"inlineData": {"mimeType": "image/png", "data": wire.PNG}}
    content = {"role": "model", "parts": [picture]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "modelVersion": "gemini-3-pro-image",
        "responseId": "tokenmeter-0001",
        "usageMetadata": {
            "promptTokenCount": 8,
            "candidatesTokenCount": 2_000,
            "thoughtsTokenCount": 310,
            "totalTokenCount": 2_318,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 2_000}],
        },
    }


def veo() -> dict[str, Any]:
    """Return the end of an operation: where two videos are, and nothing else."""
    kind = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
    files = [f"gs://tokenmeter/sample_{n}.mp4" for n in (0, 1)]
    videos = [{"gcsUri": file, "mimeType": "video/mp4"} for file in files]
    response = {"@type": kind, "raiMediaFilteredCount": 0, "videos": videos}
    return {"name": OPERATION, "done": True, "response": response}


def happyhorse(status: str, **output: Any) -> dict[str, Any]:
    """Return a task of DashScope's; its times are China's."""
    task = {"task_id": TASK, "task_status": status, **output}
    return {"request_id": "tokenmeter-0002", "output": task}


def happyhorse_done() -> dict[str, Any]:
    """Return the finished task: eight seconds at 720p."""
    done = happyhorse(
        "SUCCEEDED",
        submit_time="2026-11-01 08:00:00.000",
        scheduled_time="2026-11-01 08:00:00.040",
        end_time="2026-11-01 08:01:10.000",
        orig_prompt="A horse in a garden shop",
        video_url="https://files.example/tokenmeter-1.mp4",
    )
    usage = {
        "duration": 8,
        "input_video_duration": 0,
        "output_video_duration": 8,
        "video_count": 1,
        "SR": 720,
        "ratio": "16:9",
    }
    return {**done, "usage": usage}


def marble(updated_at: str = STARTED, **end: Any) -> dict[str, Any]:
    """Return an operation of World Labs."""
    operation: dict[str, Any] = {
        "operation_id": "tokenmeter-0001",
        "created_at": STARTED,
        "updated_at": updated_at,
        "expires_at": None,
        "done": False,
        "error": None,
        "metadata": {"world_id": WORLD},
        "response": None,
        "cost": None,
    }
    return {**operation, **end}


def marble_done() -> dict[str, Any]:
    """Return the finished operation: a world from text, 1,580 credits."""
    world = {
        "world_id": WORLD,
        "display_name": "Greenhouse",
        "world_marble_url": f"https://files.example/{WORLD}",
        "model": "marble-1.1",
        "world_prompt": {"type": "text", "text_prompt": "A greenhouse at dawn"},
    }
    items: list[dict[str, Any]] = [
        {"name": "Panorama generation", "credits": 80},
        {"name": "World generation", "credits": 1_500},
    ]
    cost = {"total_credits": sum(item["credits"] for item in items), "line_items": items}
    return marble(ENDED, done=True, response=world, cost=cost)


ASKED_OF_DALLE = {"model": "dall-e-3", "size": "1024x1792", "quality": "hd"}
ASKED_OF_GPT = {"model": "gpt-image-2", "stream": True, "partial_images": 1}
ASKED_OF_VEO = {
    "sampleCount": 2,
    "durationSeconds": 6,
    "resolution": "1080p",
    "generateAudio": False,
}
FETCH = f"{VERTEX}/{PLACE}/{VEO}:fetchPredictOperation"
SYNTHESIS = f"{DASHSCOPE}/services/aigc/video-generation/video-synthesis"
OPERATIONS = f"{MARBLE}/operations/tokenmeter-0001"
CASSETTES = {
    "dalle": [wire.exchange(wire.IMAGES_URL, ASKED_OF_DALLE, dalle())],
    "gpt_image": [wire.exchange(wire.IMAGES_URL, ASKED_OF_GPT, gpt_image())],
    "gemini_image": [wire.exchange(f"{GEMINI}:generateContent", {}, gemini_image())],
    "veo": [
        wire.exchange(
            f"{VERTEX}/{VEO}:predictLongRunning",
            {"parameters": ASKED_OF_VEO},
            {"name": OPERATION},
        ),
        wire.exchange(FETCH, {"operationName": OPERATION}, {"name": OPERATION}),
        wire.exchange(FETCH, {"operationName": OPERATION}, veo()),
    ],
    "happyhorse": [
        wire.exchange(SYNTHESIS, {"model": "happyhorse-1.1-t2v"}, happyhorse("PENDING")),
        wire.exchange(f"{DASHSCOPE}/tasks/{TASK}", None, happyhorse("RUNNING")),
        wire.exchange(f"{DASHSCOPE}/tasks/{TASK}", None, happyhorse_done()),
    ],
    "marble": [
        wire.exchange(f"{MARBLE}/worlds:generate", {"model": "marble-1.1"}, marble()),
        wire.exchange(OPERATIONS, None, marble()),
        wire.exchange(OPERATIONS, None, marble_done()),
    ],
}

if __name__ == "__main__":
    for name, exchanges in CASSETTES.items():
        (HERE / f"{name}.yaml").write_text(write.written(exchanges), encoding="utf-8")
