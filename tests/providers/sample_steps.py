"""From a row of media_samples.json to the requests and answers of the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.providers.media import Json, Step

OPENAI = "https://api.openai.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"
VERTEX = (
    "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
    "/publishers/google/models"
)
DASHSCOPE = "https://dashscope-intl.aliyuncs.com/api/v1"
HAPPYHORSE = "https://happyhorse.app/api"
MARBLE = "https://api.worldlabs.ai/marble/v1"
BFL = "https://api.bfl.ai/v1"
ARK = "https://ark.ap-southeast.bytepluses.com/api/v3"
KLING = "https://api-singapore.klingai.com"
MUAPI = "https://api.muapi.ai/api/v1"
FAL = "https://queue.fal.run"
REPLICATE = "https://api.replicate.com/v1"
RUNWAY = "https://api.dev.runwayml.com/v1"
LUMA = "https://api.lumalabs.ai/dream-machine/v1"
MINIMAX = "https://api.minimax.io"


def steps(sample: Json) -> list[Step]:
    """The exchanges of this sample: one, or a submit and the poll that saw its end."""
    return _BUILDERS[sample["provider"]](sample)


def _of_openai(sample: Json) -> list[Step]:
    call, asked, answer = sample["call"], sample["request"], sample["response"]
    if "videos." in call:
        return _sora(call, asked, answer)
    if "responses." in call:
        return [Step("POST", f"{OPENAI}/responses", answer, asked)]
    place = "edits" if ".edit" in call else "generations"
    if asked.get("stream"):
        answer = f"event: {answer['type']}\ndata: {json.dumps(answer)}\n\n"
    return [Step("POST", f"{OPENAI}/images/{place}", answer, asked)]


def _sora(call: str, asked: Json, answer: Json) -> list[Step]:
    place = "/extensions" if ".extend" in call else "/edits" if ".edit" in call else ""
    if ".remix" in call:
        place = "/video_123/remix"
    if answer["status"] in ("queued", "in_progress"):
        return [Step("POST", f"{OPENAI}/videos{place}", answer, asked)]
    queued = {**answer, "status": "queued", "completed_at": None, "error": None}
    return [
        Step("POST", f"{OPENAI}/videos{place}", queued, asked),
        Step("GET", f"{OPENAI}/videos/{answer['id']}", answer),
    ]


def _of_google(sample: Json) -> list[Step]:
    """google-genai's arguments on the wire: camel case, `config` spread over the body."""
    call, asked, answer = sample["call"], sample["request"], sample["response"]
    vertex = sample["provider"] == "google-vertex"
    config = _camel(asked.get("config", {}))
    if "interactions" in call:
        return _interaction(asked, answer)
    base = f"{VERTEX if vertex else GEMINI + '/models'}/{asked['model']}"
    if "images" in call:
        parameters = {"sampleCount": config.pop("numberOfImages", 1), **config}
        body: Json = {"instances": [{"prompt": "x"}], "parameters": parameters}
        return [Step("POST", f"{base}:predict", answer, body)]
    if "name" in answer:
        return _veo(base, config, answer, vertex=vertex)
    body = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config}
    return [Step("POST", f"{base}:generateContent", answer, body)]


def _veo(base: str, config: Json, answer: Json, *, vertex: bool) -> list[Step]:
    name = answer["name"]
    parameters = {"sampleCount": config.pop("numberOfVideos", 1), **config}
    body: Json = {"instances": [{"prompt": "x"}], "parameters": parameters}
    submit = Step("POST", f"{base}:predictLongRunning", {"name": name}, body)
    if vertex:
        asked = {"operationName": name}
        return [submit, Step("POST", f"{base}:fetchPredictOperation", answer, asked)]
    return [submit, Step("GET", f"{GEMINI}/{name}", answer)]


def _interaction(asked: Json, answer: Json) -> list[Step]:
    if not asked.get("background"):
        return [Step("POST", f"{GEMINI}/interactions", answer, asked)]
    started = {**answer, "status": "in_progress", "usage": None}
    return [
        Step("POST", f"{GEMINI}/interactions", started, asked),
        Step("GET", f"{GEMINI}/interactions/{answer['id']}", answer),
    ]


def _camel(fields: Any) -> Any:
    if not isinstance(fields, dict):
        return fields
    return {re.sub(r"_(\w)", lambda m: m[1].upper(), k): _camel(v) for k, v in fields.items()}


def _of_alibaba(sample: Json) -> list[Step]:
    task_id = sample["response"]["output"]["task_id"]
    pending = {"request_id": "req-1", "output": {"task_id": task_id, "task_status": "PENDING"}}
    service = "services/aigc/video-generation/video-synthesis"
    asynchronous = {"X-DashScope-Async": "enable"}
    return [
        Step("POST", f"{DASHSCOPE}/{service}", pending, sample["request"], headers=asynchronous),
        Step("GET", f"{DASHSCOPE}/tasks/{task_id}", sample["response"]),
    ]


def _of_happyhorse(sample: Json) -> list[Step]:
    task_id = sample["response"]["data"].get("task_id", "t1")
    accepted = {"code": 200, "data": {"task_id": task_id, "status": "IN_PROGRESS"}}
    return [
        Step("POST", f"{HAPPYHORSE}/generate", accepted, sample["request"]),
        Step("GET", f"{HAPPYHORSE}/status?task_id={task_id}", sample["response"]),
    ]


def _of_marble(sample: Json) -> list[Step]:
    job_id = sample["response"]["operation_id"]
    started = {"operation_id": job_id, "done": False, "error": None, "response": None}
    return [
        Step("POST", f"{MARBLE}/worlds:generate", started, sample["request"]),
        Step("GET", f"{MARBLE}/operations/{job_id}", sample["response"]),
    ]


def _of_bfl(sample: Json) -> list[Step]:
    answers = sample["response"]
    return [
        Step("POST", f"{BFL}/{sample['model']}", answers["submit"], sample["request"]),
        Step("GET", answers["submit"]["polling_url"], answers["result"]),
    ]


def _of_byteplus(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    if "status" not in answer:  # Seedream
        return [Step("POST", f"{ARK}/images/generations", answer, asked)]
    tasks = f"{ARK}/contents/generations/tasks"
    return [
        Step("POST", tasks, {"id": answer["id"]}, asked),
        Step("GET", f"{tasks}/{answer['id']}", answer),
    ]


def _of_kling(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    place = sample["call"].split()[1]
    if isinstance(answer["data"], list):
        job_id = answer["data"][0]["id"]
        submitted: Json = {"code": 0, "data": {"id": job_id, "status": "submitted"}}
        poll = f"{KLING}/tasks?task_ids={job_id}"
    else:
        job_id = answer["data"]["task_id"]
        submitted = {"code": 0, "data": {"task_id": job_id, "task_status": "submitted"}}
        poll = f"{KLING}{place}/{job_id}"
    return [
        Step("POST", f"{KLING}{place}", submitted, asked),
        Step("GET", poll, answer),
    ]


def _of_muapi(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    place = f"{MUAPI}/{sample['model']}"
    if "request_id" in answer:
        return [Step("POST", place, answer, asked)]
    job_id = answer["id"]
    return [
        Step("POST", place, {"request_id": job_id, "status": "processing"}, asked),
        Step("GET", f"{MUAPI}/predictions/{job_id}/result", answer),
    ]


def _of_fal(sample: Json) -> list[Step]:
    job_id = "764cabcf-b745-4b3e-ae38-1200304cf45b"
    app = "/".join(sample["model"].split("/")[:2])
    poll = f"{FAL}/{app}/requests/{job_id}"
    submitted = {"request_id": job_id, "response_url": poll, "status": "IN_QUEUE"}
    completed: Json = {"status": "COMPLETED", "request_id": job_id, "logs": None, "metrics": {}}
    return [
        Step("POST", f"{FAL}/{sample['model']}", submitted, sample["request"]),
        Step("GET", f"{poll}/status", completed),
        Step("GET", poll, sample["response"], headers=sample.get("response_headers", {})),
    ]


def _of_replicate(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    started = {**answer, "status": "starting", "output": None, "metrics": {}}
    return [
        Step("POST", f"{REPLICATE}/predictions", started, asked, 201),
        Step("GET", f"{REPLICATE}/predictions/{answer['id']}", answer),
    ]


def _of_runway(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    place = "text_to_image" if "image" in sample["model"] else "image_to_video"
    submitted = {"id": answer["id"], "estimatedCost": {"credits": 25}}
    return [
        Step("POST", f"{RUNWAY}/{place}", submitted, asked),
        Step("GET", f"{RUNWAY}/tasks/{answer['id']}", answer),
    ]


def _of_luma(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    place = "image" if answer.get("generation_type") == "image" else "video"
    queued = {**answer, "state": "queued", "assets": None}
    return [
        Step("POST", f"{LUMA}/generations/{place}", queued, asked, 201),
        Step("GET", f"{LUMA}/generations/{answer['id']}", answer),
    ]


def _of_minimax(sample: Json) -> list[Step]:
    asked, answer = sample["request"], sample["response"]
    if "task" in answer:
        job_id = answer["task"]["id"]
        return [
            Step("POST", f"{MINIMAX}/v2/video_generation", {"task_id": job_id}, asked),
            Step("GET", f"{MINIMAX}/v2/query/video_generation/{job_id}", answer),
        ]
    answers = answer if "submit" in answer else {"result": answer}
    job_id = str(answers["result"].get("task_id", "m1"))
    fine = {"status_code": 0, "status_msg": "success"}
    submitted = answers.get("submit", {"task_id": job_id, "base_resp": fine})
    return [
        Step("POST", f"{MINIMAX}/v1/video_generation", submitted, asked),
        Step("GET", f"{MINIMAX}/v1/query/video_generation?task_id={job_id}", answers["result"]),
    ]


_BUILDERS: dict[str, Callable[[Json], list[Step]]] = {
    "openai": _of_openai,
    "google": _of_google,
    "google-vertex": _of_google,
    "alibaba": _of_alibaba,
    "happyhorse": _of_happyhorse,
    "marble": _of_marble,
    "bfl": _of_bfl,
    "byteplus": _of_byteplus,
    "kling": _of_kling,
    "muapi": _of_muapi,
    "fal": _of_fal,
    "replicate": _of_replicate,
    "runway": _of_runway,
    "luma": _of_luma,
    "minimax": _of_minimax,
}
PROVIDERS = tuple(_BUILDERS)
