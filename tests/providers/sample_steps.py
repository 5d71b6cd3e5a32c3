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
}
PROVIDERS = tuple(_BUILDERS)
