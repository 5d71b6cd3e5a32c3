"""
Write the cassettes of Seedance and Seedream (Ark), Kling and MuAPI.

    python cassettes/media/tasks.py

The formats are those of the vendors' references; ../write.py turns them into YAML.
"""
# ruff: noqa: INP001, E402 - a script beside its data, not a package

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import wire
import write

ARK = "https://ark.ap-southeast.bytepluses.com/api/v3"
KLING = "https://api-singapore.klingai.com"
MUAPI = "https://api.muapi.ai/api/v1"
SEEDANCE, SEEDREAM = "seedance-1-5-pro-251215", "seedream-4-5-251128"
KLING_MODEL, MUAPI_MODEL = "kling-v2-6", "seedance-2-image-to-video"
TOOK_S = 84  # from the submit to the end
FILE = "https://files.example/tokenmeter-{}"


def seedance(status: str, **more: Any) -> dict[str, Any]:
    """Return a task of Seedance's in some state of its life."""
    return {
        "id": "cgt-tokenmeter-0001",
        "model": SEEDANCE,
        "status": status,
        "created_at": wire.CREATED,
        "updated_at": wire.CREATED + TOOK_S,
        **more,
    }


def seedance_done() -> dict[str, Any]:
    """Return the finished task: 1280 x 720 x 121 frames / 1024 are 108,900 tokens."""
    return seedance(
        "succeeded",
        content={"video_url": FILE.format("snow.mp4")},
        usage={"completion_tokens": 108_900, "total_tokens": 108_900},
        seed=58_944,
        resolution="720p",
        ratio="16:9",
        duration=5,
        framespersecond=24,
        service_tier="default",
        execution_expires_after=172_800,
        generate_audio=True,
        draft=False,
    )


def seedream() -> dict[str, Any]:
    """Return a series of which one image was refused."""
    refused = {"code": "OutputImageSensitiveContentDetected", "message": "May be sensitive."}
    made = [{"url": FILE.format(f"{n}.jpeg"), "size": "2048x2048"} for n in (1, 2)]
    return {
        "model": SEEDREAM,
        "created": wire.CREATED,
        "data": [*made, {"error": refused}],
        "usage": {"generated_images": 2, "output_tokens": 32_768, "total_tokens": 32_768},
    }


def kling(status: str, **more: Any) -> dict[str, Any]:
    """Return a task of Kling's, in the envelope that every answer has."""
    created_ms = wire.CREATED * 1000
    task: dict[str, Any] = {
        "task_id": "tokenmeter-0002",
        "task_status": status,
        "task_info": {},
        "created_at": created_ms,
        "updated_at": created_ms + TOOK_S * 1000,
    }
    envelope = {"code": 0, "message": "SUCCEED", "request_id": "tokenmeter-0003"}
    return {**envelope, "data": {**task, **more}}


def kling_done() -> dict[str, Any]:
    """Return the finished task: 10 seconds, written as Kling writes them."""
    video = {"id": "tokenmeter-0004", "url": FILE.format("pot.mp4"), "duration": "10.041"}
    return kling(
        "succeed",
        task_status_msg="",
        task_result={"videos": [video]},
        final_unit_deduction="10",
        final_balance_deduction={"quota": "1.4", "list_price": "1.4"},
    )


def muapi(status: str, **more: Any) -> dict[str, Any]:
    """Return a prediction of MuAPI's; the charge stands in every answer."""
    cost = {
        "amount_usd": 0.6,
        "amount_credits": 60,
        "bonus_credits_used": 0,
        "refunded": False,
    }
    return {"status": status, "cost": cost, **more}


TASKS = f"{ARK}/contents/generations/tasks"
IMAGE2VIDEO = f"{KLING}/v1/videos/image2video"
CASSETTES = {
    "seedance": [
        wire.exchange(TASKS, {"model": SEEDANCE, "duration": 5}, {"id": "cgt-tokenmeter-0001"}),
        wire.exchange(f"{TASKS}/cgt-tokenmeter-0001", None, seedance("running")),
        wire.exchange(f"{TASKS}/cgt-tokenmeter-0001", None, seedance_done()),
    ],
    "seedream": [wire.exchange(f"{ARK}/images/generations", {"model": SEEDREAM}, seedream())],
    "kling": [
        wire.exchange(IMAGE2VIDEO, {"model_name": KLING_MODEL}, kling("submitted")),
        wire.exchange(f"{IMAGE2VIDEO}/tokenmeter-0002", None, kling("processing")),
        wire.exchange(f"{IMAGE2VIDEO}/tokenmeter-0002", None, kling_done()),
    ],
    "muapi": [
        wire.exchange(
            f"{MUAPI}/{MUAPI_MODEL}",
            {"duration": 5},
            muapi("processing", request_id="tokenmeter-0005"),
        ),
        wire.exchange(
            f"{MUAPI}/predictions/tokenmeter-0005/result",
            None,
            muapi("completed", id="tokenmeter-0005", outputs=[FILE.format("leaf.mp4")]),
        ),
    ],
}

if __name__ == "__main__":
    for name, exchanges in CASSETTES.items():
        (HERE / f"{name}.yaml").write_text(write.written(exchanges), encoding="utf-8")
