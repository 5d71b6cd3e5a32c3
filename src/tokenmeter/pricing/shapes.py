"""
The request that a provider's API would be sent for a model and some parameters.

The adapters describe it as they describe one at the tap, so that what a request leaves out has
the same defaults in a preview as in the event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from tokenmeter.pricing.media_words import PROVIDERS
from tokenmeter.providers import find
from tokenmeter.providers.base import Call, Json, Request
from tokenmeter.providers.compatible import COMPATIBLE

Parameters = Mapping[str, object]

_ARK = {"cn-beijing": "ark.cn-beijing.volces.com", None: "ark.ap-southeast.bytepluses.com"}
_DASHSCOPE = {"cn-beijing": "dashscope.aliyuncs.com", None: "dashscope-intl.aliyuncs.com"}
_AS_A_JOB = {"x-dashscope-async": "enable"}  # without it Alibaba refuses a video
_VERTEX = "/v1/projects/p/locations/global/publishers/google/models/"
_CAMEL = {
    "duration": "durationSeconds",
    **dict.fromkeys(("n", "number_of_videos", "number_of_images", "sample_count"), "sampleCount"),
    **dict.fromkeys(("aspect_ratio", "ratio"), "aspectRatio"),
    **dict.fromkeys(("size", "image_size"), "sampleImageSize"),
    "generate_audio": "generateAudio",
}
_CHAT, _VIDEOS = "/v1/chat/completions", "/v1/videos"
# Places of OpenAI's API, by the model's name; the first that fits.
_OPENAI = (
    ("/v1/images/generations", re.compile(r"dall-e|image")),
    (_VIDEOS, re.compile(r"sora")),
    ("/v1/embeddings", re.compile(r"embed")),
    ("/v1/audio/speech", re.compile(r"(?:^|-)tts")),
    ("/v1/audio/transcriptions", re.compile(r"whisper|transcribe|^voxtral")),
    ("/v1/completions", re.compile(r"instruct$|davinci|babbage")),
)


def described(provider: str, model: str, parameters: Parameters) -> tuple[Call, Json] | None:
    """Return the call for these parameters, and its body; None if no API of ours is known."""
    known = PROVIDERS.get(provider)
    name = known.provider if known else provider
    shape = _SHAPES.get(name)
    region = parameters.get("region") or (known.region if known else None)
    asked = {key: value for key, value in parameters.items() if value is not None}
    if shape is not None:
        host, path, body = shape(model, asked, "cn-beijing" if region == "cn-beijing" else None)
    elif name in COMPATIBLE:
        host = COMPATIBLE[name][1][0]
        host, path, body = _openai_like(
            f"named{host}" if host.startswith(".") else host, model, asked
        )
    else:
        return None
    adapter = find(host, path)
    headers = _AS_A_JOB if path.endswith("/video-synthesis") else {}
    request = Request("POST", host, path, headers=headers, body=body)
    call = None if adapter is None else adapter.describe(request)
    return None if call is None else (call, body)


def _openai_like(host: str, model: str, asked: Json) -> tuple[str, str, Json]:
    path = _place(model)
    if path is None:
        path = "/v1/responses" if "input" in asked and "messages" not in asked else _CHAT
    if path == _VIDEOS and "duration" in asked:
        asked = {**asked, "seconds": asked["duration"]}
    return host, path, {**(_chatting(asked) if path == _CHAT else asked), "model": model}


@lru_cache(maxsize=1024)
def _place(model: str) -> str | None:
    return next((path for path, name in _OPENAI if name.search(model)), None)


def _chatting(asked: Json) -> Json:
    """A prompt is the one message of a chat."""
    if "messages" in asked or not isinstance(asked.get("prompt"), str):
        return asked
    rest = {key: value for key, value in asked.items() if key != "prompt"}
    return {**rest, "messages": [{"role": "user", "content": asked["prompt"]}]}


def _anthropic(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    return "api.anthropic.com", "/v1/messages", {**_chatting(asked), "model": model}


def _google(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    method, body = _google_body(model, asked)
    return "generativelanguage.googleapis.com", f"/v1beta/models/{model}:{method}", body


def _vertex(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    if "claude" in model:
        path = _VERTEX.replace("/google/", "/anthropic/")
        return "aiplatform.googleapis.com", f"{path}{model}:rawPredict", _chatting(asked)
    method, body = _google_body(model, asked)
    return "aiplatform.googleapis.com", f"{_VERTEX}{model}:{method}", body


def _google_body(model: str, asked: Json) -> tuple[str, Json]:
    if model.startswith(("veo", "imagen")):
        parameters = {_CAMEL.get(key, key): value for key, value in asked.items()}
        instance = {"prompt": parameters.pop("prompt", "")}
        body: Json = {"instances": [instance], "parameters": parameters}
        return ("predictLongRunning" if model.startswith("veo") else "predict"), body
    if "embed" in model:
        return "embedContent", asked
    body = dict(asked)
    if "contents" not in body and isinstance(body.get("prompt"), str):
        body["contents"] = [{"role": "user", "parts": [{"text": body.pop("prompt")}]}]
    size = body.get("size") or body.get("image_size")
    if size is not None and "generationConfig" not in body:
        body["generationConfig"] = {"imageConfig": {"imageSize": size}}
    return "generateContent", body


def _byteplus(model: str, asked: Json, region: str | None) -> tuple[str, str, Json]:
    host, body = _ARK[region], {**asked, "model": model}
    if "seedance" in model:
        return host, "/api/v3/contents/generations/tasks", body
    if "seedream" in model:
        return host, "/api/v3/images/generations", body
    return host, "/api/v3/chat/completions", {**_chatting(asked), "model": model}


def _kling(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    host = "api.klingai.com"
    if model.startswith("kling-3"):
        settings = {"settings": {**asked, "audio": _native(asked)}}
        kind = "omni-video" if "omni" in model else "text-to-video"
        return host, f"/{kind}/{model}", settings
    is_image = asked.get("kind") == "image" or model.startswith("kling-image")
    place = "images/generations" if is_image else "videos/text2video"
    body = {**asked, "model_name": model}
    if asked.get("generate_audio") in (True, "true"):
        body.setdefault("sound", "on")
    return host, f"/v1/{place}", body


def _native(asked: Json) -> str:
    return "native" if asked.get("generate_audio") in (True, "true") else "off"


def _alibaba(model: str, asked: Json, region: str | None) -> tuple[str, str, Json]:
    host = _DASHSCOPE[region]
    if not re.search(r"happyhorse|wan[x\d]|image|t2i", model):
        path = "/compatible-mode/v1/chat/completions"
        return host, path, {**_chatting(asked), "model": model}
    given: Json = {"prompt": asked.get("prompt", "")}
    if "video-edit" in model or asked.get("input_type") == "video":
        given["media"] = [{"type": "video"}]
    service = "multimodal-generation/generation"
    if not re.search(r"image|t2i", model):
        service = "video-generation/video-synthesis"
    body: Json = {"model": model, "input": given, "parameters": asked}
    return host, f"/api/v1/services/aigc/{service}", body


def _marble(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    kind = str(asked.get("input_mode") or asked.get("input_type") or "text")
    body: Json = {**asked, "model": model, "world_prompt": {"type": kind.replace("_", "-")}}
    return "api.worldlabs.ai", "/marble/v1/worlds:generate", body


def _muapi(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    return "api.muapi.ai", f"/api/v1/{model}", asked


def _happyhorse(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    return "happyhorse.app", "/api/generate", {**asked, "model": model}


def _bfl(model: str, asked: Json, _region: str | None) -> tuple[str, str, Json]:
    return "api.bfl.ai", f"/v1/{model}", asked


_SHAPES: Mapping[str, Callable[[str, Json, str | None], tuple[str, str, Json]]] = {
    "anthropic": _anthropic,
    "google": _google,
    "google-vertex": _vertex,
    "byteplus": _byteplus,
    "kling": _kling,
    "alibaba": _alibaba,
    "marble": _marble,
    "muapi": _muapi,
    "happyhorse": _happyhorse,
    "bfl": _bfl,
}
