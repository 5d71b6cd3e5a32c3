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


_FIRST = ("submit", "create", "created", "submitted")
_LAST = (
    *("result", "poll", "retrieve", "get", "query", "fetch", "final"),
    *("task", "webhook", "callback"),
)
_PATH = re.compile(r"/[\w./:-]+")


def steps(sample: Json) -> list[Step]:
    """The exchanges of this sample: one, or a submit and the poll that saw its end."""
    return _BUILDERS[sample["provider"]](sample)


def _answers(sample: Json) -> tuple[Json | None, Json]:
    """The answers to submit and poll where a sample has both; else its only one as the last."""
    answer: Json = sample["response"]
    parts = {name: part for name, part in answer.items() if isinstance(part, dict)}
    first = next((parts[name] for name in _FIRST if name in parts), None)
    if first is None:
        return None, answer
    last = next((parts[name] for name in _LAST if name in parts), None)
    return (None, first) if last is None else (first, last)


def _place(sample: Json, default: str) -> str:
    """The path of the submit, where a sample's `call` names it."""
    found = _PATH.search(sample["call"])
    return default if found is None else found[0].rstrip("/")


def _of_openai(sample: Json) -> list[Step]:
    call, asked, answer = sample["call"], sample["request"], sample["response"]
    if "videos." in call:
        return _sora(sample)
    if "responses." in call:
        return [Step("POST", f"{OPENAI}/responses", _streamed(answer), asked)]
    place = "edits" if ".edit" in call else "generations"
    if "variation" in call:
        place = "variations"
    return [Step("POST", f"{OPENAI}/images/{place}", _streamed(answer), asked)]


def _sora(sample: Json) -> list[Step]:
    call, asked = sample["call"], sample["request"]
    first, last = _answers(sample)
    place = "/extensions" if ".extend" in call else "/edits" if ".edit" in call else ""
    if ".remix" in call:
        place = "/video_123/remix"
    page = last.get("data")
    video: Json = page[0] if isinstance(page, list) else last
    if first is None and video.get("status") in (None, "queued", "in_progress"):
        return [Step("POST", f"{OPENAI}/videos{place}", video, asked)]
    queued = {**video, "status": "queued", "completed_at": None, "error": None}
    poll = f"{OPENAI}/videos" if page else f"{OPENAI}/videos/{video['id']}"
    return [
        Step("POST", f"{OPENAI}/videos{place}", first or queued, asked),
        Step("GET", poll, last),
    ]


def _of_google(sample: Json) -> list[Step]:
    """google-genai's arguments on the wire: camel case, `config` spread over the body."""
    call, asked, answer = sample["call"], sample["request"], sample["response"]
    vertex = sample["provider"] == "google-vertex"
    config = _camel(asked.get("config") or asked.get("parameters", {}))
    if "interactions" in call:
        return _interaction(asked, answer)
    base = f"{VERTEX if vertex else GEMINI + '/models'}/{asked.get('model', sample['model'])}"
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
    service = "services/aigc/video-generation/video-synthesis"
    task_id = sample["response"].get("output", {}).get("task_id")
    if task_id is None:  # it was refused, or came at once
        service = "services/aigc/multimodal-generation/generation"
        return [Step("POST", f"{DASHSCOPE}/{service}", sample["response"], sample["request"])]
    pending = {"request_id": "req-1", "output": {"task_id": task_id, "task_status": "PENDING"}}
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
    first, answer = _answers(sample)
    if "operation_id" not in answer:  # it was refused
        return [Step("POST", f"{MARBLE}/worlds:generate", answer, sample["request"], 402)]
    job_id = answer["operation_id"]
    started = {"operation_id": job_id, "done": False, "error": None, "response": None}
    return [
        Step("POST", f"{MARBLE}/worlds:generate", first or started, sample["request"]),
        Step("GET", f"{MARBLE}/operations/{job_id}", answer),
    ]


def _of_bfl(sample: Json) -> list[Step]:
    first, last = _answers(sample)
    if first is None and "status" not in last:
        return [Step("POST", f"{BFL}/{sample['model']}", last, sample["request"])]
    job_id = last.get("id") or (first or {}).get("id") or "req-1"
    poll = f"https://api.us1.bfl.ai/v1/get_result?id={job_id}"
    submitted: Json = {"id": job_id, "polling_url": poll, **(first or {})}
    return [
        Step("POST", f"{BFL}/{sample['model']}", submitted, sample["request"]),
        Step("GET", submitted["polling_url"], last),
    ]


def _of_byteplus(sample: Json) -> list[Step]:
    asked = sample["request"]
    first, answer = _answers(sample)
    task: Json = answer["items"][0] if "items" in answer else answer
    tasks = f"{ARK}/contents/generations/tasks"
    if first is None and "content" in asked and "status" not in task:  # it was refused
        return [Step("POST", tasks, answer, asked)]
    if "status" not in task:  # Seedream
        return [Step("POST", f"{ARK}/images/generations", _streamed(answer), asked)]
    poll = tasks if "items" in answer else f"{tasks}/{task['id']}"
    return [
        Step("POST", tasks, first or {"id": task["id"]}, asked),
        Step("GET", poll, answer),
    ]


def _streamed(answer: Any) -> Any:
    """A stream's events, or its last one, as server-sent events; a whole answer as it is."""
    events = answer if isinstance(answer, list) else [answer]
    if not all("type" in event for event in events):
        return answer
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)


def _of_kling(sample: Json) -> list[Step]:
    first, answer = _answers(sample)
    asked = sample["request"]
    place = _place(sample, "/v1/videos/text2video")
    if not answer.get("data"):  # it was refused
        return [Step("POST", f"{KLING}{place}", answer, asked)]
    if isinstance(answer["data"], list):
        job_id = answer["data"][0]["id"]
        submitted: Json = {"code": 0, "data": {"id": job_id, "status": "submitted"}}
        poll = f"{KLING}/tasks?task_ids={job_id}"
    else:
        job_id = answer["data"]["task_id"]
        submitted = {"code": 0, "data": {"task_id": job_id, "task_status": "submitted"}}
        poll = f"{KLING}{place}/{job_id}"
    return [
        Step("POST", f"{KLING}{place}", first or submitted, asked),
        Step("GET", poll, answer),
    ]


def _of_muapi(sample: Json) -> list[Step]:
    first, answer = _answers(sample)
    asked = sample["request"]
    place = f"{MUAPI}/{sample['model']}"
    if "request_id" in answer or "id" not in answer:
        return [Step("POST", place, answer, asked)]
    job_id = answer["id"]
    submitted = {"request_id": job_id, "status": "processing"}
    return [
        Step("POST", place, first or submitted, asked),
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
    places = ("text_to_image", "text_to_video", "video_to_video", "image_to_video")
    default = "text_to_image" if "image" in sample["model"] else "image_to_video"
    place = next((place for place in places if place in sample["call"]), default)
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
    asked, fine = sample["request"], {"status_code": 0, "status_msg": "success"}
    if "task" in sample["response"]:
        first, answer = None, sample["response"]
    else:
        first, answer = _answers(sample)
    if "task" in answer or "/v2/" in sample["call"]:
        job_id = answer.get("task", {}).get("id", "m1")
        return [
            Step("POST", f"{MINIMAX}/v2/video_generation", first or {"task_id": job_id}, asked),
            Step("GET", f"{MINIMAX}/v2/query/video_generation/{job_id}", answer),
        ]
    place = f"{MINIMAX}{_place(sample, '/v1/video_generation')}".replace("/query/", "/")
    if "status" not in answer:  # it was refused, or came at once
        return [Step("POST", place, answer, asked)]
    job_id = str(answer.get("task_id") or (first or {}).get("task_id") or "m1")
    return [
        Step("POST", place, first or {"task_id": job_id, "base_resp": fine}, asked),
        Step("GET", f"{MINIMAX}/v1/query/video_generation?task_id={job_id}", answer),
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
