"""Chat completions, legacy completions, embeddings: one answer, or chunks and ``[DONE]``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec

from tokenmeter.providers.base import Api, Call, Json, Reading, count, mapping, text
from tokenmeter.providers.openai_plain import (
    always_searches,
    asked_chat,
    plain_chat,
    plain_chunks,
)
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import (
    Dialect,
    Head,
    answer,
    error_type,
    is_usual,
    refusal,
)
from tokenmeter.providers.usual import read_by
from tokenmeter.usage import Usage

DONE = b"[DONE]"
_NEEDLES = (b'"usage"', b'"error"')
_NEEDLES_OF_IMAGES = (*_NEEDLES, b'"images"')
_NEEDLES_OF_TIMES = (*_NEEDLES, b'"timings"')
_IMAGE = "image:"  # keys of `raw`: one per image that a choice holds


def chat_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of chat or legacy completions."""
    usual = operation == "chat.completions" and is_usual(dialect)
    return Api(
        operation=operation,
        event_name="text_generated",
        read=read_chat,
        settle=partial(settle_chat, dialect),
        needles=_needles(dialect),
        text=chat_text,
        done=DONE,
        owns_ids=dialect.owns_ids,
        asked=asked_chat,
        plain=plain_chat if usual else None,
        stream=plain_chunks if usual else None,
    )


def _needles(dialect: Dialect) -> tuple[bytes, ...]:
    """A host that is not asked for usage may be a llama.cpp server, which times its tokens."""
    if dialect.draws:
        return _NEEDLES_OF_IMAGES
    return _NEEDLES if dialect.asks_usage else _NEEDLES_OF_TIMES


def plain_api(dialect: Dialect, operation: str, event_name: str) -> Api:
    """Return the Api of an endpoint that answers in one body with one usage."""
    settle, usual = partial(settle_text, dialect), is_usual(dialect)
    return Api(
        operation,
        event_name,
        read_plain,
        settle,
        asked=asked_chat,
        plain=read_by(Head, msgspec.structs.asdict, read_plain, settle) if usual else None,
    )


def read_plain(payload: Json) -> Reading:
    """
    Read an answer that is complete as it comes: embeddings, reranks, decisions.

    Voyage and Jina report a total only: all of it is input.
    """
    reading = answer(payload, payload.get("usage"), "success")
    total = reading.usage.total_tokens
    if total is None or not reading.usage.keys().isdisjoint(("input_tokens", "output_tokens")):
        return reading
    return replace(reading, usage=reading.usage | {"input_tokens": total})


def read_chat(payload: Json) -> Reading:
    """
    Read a completion or one chunk of it.

    Groq reports a stream's usage under `x_groq`, Moonshot in its last choice; Azure's first
    chunk has ``choices: []`` and no usage; every other chunk may carry ``usage: null``.
    """
    choices = _choices(payload)
    usage = payload.get("usage")
    if usage is None and "x_groq" in payload:
        usage = mapping(payload["x_groq"]).get("usage")
    if usage is None and choices:
        usage = choices[-1].get("usage") or _timed(payload.get("timings"))
    whole = _is_whole(payload, choices)
    finished = whole or _is_last(payload, choices, usage)
    reading = answer(payload, usage, "success" if finished else None)
    if whole and reading.usage and choices:
        reading = replace(reading, usage=reading.usage | {"output_count": len(choices)})
    refused = refusal(payload["base_resp"]) if "base_resp" in payload else None
    if refused is not None:
        reading = replace(reading, state="failed", error_type=refused)
    return _with_oddities(reading, usage, choices)


def _timed(timings: object) -> Json | None:
    """
    Read the tokens that a llama.cpp server timed, of a stream that was not asked for its usage.

    `prompt_n` are those that it worked through, beside those that its cache held.
    """
    times = mapping(timings)
    worked, cached = count(times.get("prompt_n")), count(times.get("cache_n")) or 0
    if worked is None:
        return None
    return {
        "prompt_tokens": worked + cached,
        "completion_tokens": times.get("predicted_n"),
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _with_oddities(reading: Reading, usage: object, choices: list[Json]) -> Reading:
    """The usage may state the tier; OpenRouter states an error in a choice, and draws there."""
    failed = [choice for choice in choices if "error" in choice and error_type(choice)]
    if failed:
        reading = replace(reading, state="failed", error_type=error_type(failed[0]))
    tier = None if reading.dimensions else _tier(mapping(usage))
    if tier is not None:
        reading = replace(reading, dimensions={"service_tier": tier})
    images = {mark: True for choice in choices for mark in _images(choice)}
    return replace(reading, raw={**reading.raw, **images}) if images else reading


def _tier(usage: Json) -> str | None:
    """Read the tier where Mistral states it, or Vertex."""
    google = mapping(mapping(usage.get("extra_properties")).get("google"))
    traffic = text(google.get("traffic_type"))
    return text(usage.get("service_tier")) or (traffic.lower() if traffic else None)


def _images(choice: Json) -> list[str]:
    """Name the images of a choice, or of one piece of it: each counts once."""
    held = mapping(choice.get("message", choice.get("delta"))).get("images")
    images = [mapping(image) for image in held] if isinstance(held, list) else []
    at = count(choice.get("index")) or 0
    return [f"{_IMAGE}{at}:{image.get('index', place)}" for place, image in enumerate(images)]


def settle_chat(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """Settle the tokens; count images that models of OpenRouter draw into a chat, and searches."""
    settled = settle_text(dialect, reading, call)
    if call.provider == "openai" and settled.state == "success":
        settled = _with_search(settled, call)
    drawn = sum(mark.startswith(_IMAGE) for mark in reading.raw) if reading.raw else 0
    return replace(settled, usage=settled.usage | {"image_count": drawn}) if drawn else settled


def _with_search(reading: Reading, call: Call) -> Reading:
    """Count the search of a model that searches the web in every chat; no answer tells it."""
    if not always_searches(reading.model or call.request_model or ""):
        return reading
    return replace(reading, usage=Usage(web_search_count=1) | reading.usage)


def _choices(payload: Json) -> list[Json]:
    choices = payload.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, dict)]


def _is_whole(payload: Json, choices: list[Json]) -> bool:
    """
    Tell a whole answer from a chunk of one.

    Legacy completions name both alike: a chunk has no usage beside its finish reason, or null.
    """
    if payload.get("object") == "chat.completion":
        return True
    if not choices or "delta" in choices[0]:
        return False
    if "message" in choices[0]:
        return True
    return bool(choices[0].get("finish_reason")) and payload.get("usage", True) is not None


def _is_last(payload: Json, choices: list[Json], usage: object) -> bool:
    """Tell the chunk that ends a stream: it brings the usage, and every choice has finished."""
    if "choices" not in payload or not usage:
        return False
    return all(choice.get("finish_reason") for choice in choices)


def chat_text(chunk: Json) -> str:
    """Return what one chunk delivers: content, reasoning, refusal, arguments of tool calls."""
    return "".join(
        _choice_text(mapping(choice.get("delta"))) or _string(choice.get("text"))
        for choice in _choices(chunk)
    )


def _choice_text(delta: Json) -> str:
    calls = delta.get("tool_calls")
    called = [delta.get("function_call")]
    if isinstance(calls, list):
        called += [mapping(call).get("function") for call in calls]
    pieces = [
        _string(delta.get("content")),
        _string(delta.get("reasoning_content")) or _string(delta.get("reasoning")),
        _string(delta.get("refusal")),
        _string(mapping(delta.get("audio")).get("transcript")),
        *(_string(mapping(call).get("name")) for call in called),
        *(_string(mapping(call).get("arguments")) for call in called),
    ]
    return "".join(pieces)


def _string(value: object) -> str:
    """Return the text of a string, or of a list of parts that hold text (Mistral)."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    parts = [mapping(part) for part in value]
    return "".join(_string(part.get("text")) or _string(part.get("thinking")) for part in parts)
