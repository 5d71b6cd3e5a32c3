"""
DashScope's own form of texts, embeddings and reranks.

A stream's events repeat the usage so far, so the last one stands. An embedding and a rerank
report a total, and all of it is input.
"""

from __future__ import annotations

from functools import partial

from tokenmeter.providers.base import Api, Json, Reading, mapping, text
from tokenmeter.providers.media import OTHER
from tokenmeter.providers.media_kinds import AUDIO, TEXT
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_usage import USAGE, Found
from tokenmeter.providers.openai_wire import PLAIN
from tokenmeter.usage import Usage

EMBEDDING = "embedding_created"
# What a model that sees or hears was given stands beside the input that holds it.
_NAMES = {
    **USAGE,
    "image_tokens": "input_image_tokens",
    "video_tokens": "input_video_tokens",
    "audio_tokens": "input_audio_tokens",
    "characters": "characters",  # of speech
}
_SERVICES = {
    "aigc/text-generation/generation": TEXT,
    "aigc/multimodal-generation/generation": TEXT,
    "embeddings/text-embedding/text-embedding": EMBEDDING,
    "embeddings/multimodal-embedding/multimodal-embedding": EMBEDDING,
    "rerank/text-rerank/text-rerank": OTHER,
}


def text_api(service: str, model: str) -> Api | None:
    """Return how a service's answer is read; None if it answers in another way."""
    api = _APIS.get(service)
    return _SPEECH if api is not None and "-tts" in model else api


def read_answer(payload: Json) -> Reading:
    """Read a whole answer, or one event of a stream."""
    code, output = text(payload.get("code")), mapping(payload.get("output"))
    if code is not None and not output:
        return Reading(state="failed", error_type=code)
    found = Found()
    found.walk(mapping(payload.get("usage")), _NAMES)
    numbers = found.numbers
    if numbers.keys() == {"total_tokens"}:
        numbers["input_tokens"] = numbers["total_tokens"]
    return Reading(
        usage=Usage(numbers),
        response_id=text(payload.get("request_id")),
        flags=frozenset(found.flags),
        state="success" if output and not _is_going_on(output) else None,
    )


def _is_going_on(output: Json) -> bool:
    """Tell an event that is not a stream's last: it names the reason "null"."""
    choices = output.get("choices")
    first = mapping(choices[0]) if isinstance(choices, list) and choices else output
    return first.get("finish_reason") == "null"


def _api(service: str, event_name: str) -> Api:
    settle = partial(settle_text, PLAIN)
    return Api(service, event_name, read_answer, settle, needles=(b'"usage"', b'"code"'))


_APIS = {service: _api(service.rpartition("/")[2], name) for service, name in _SERVICES.items()}
_SPEECH = _api("generation", AUDIO)
