"""Chat completions, legacy completions, embeddings: one answer, or chunks and ``[DONE]``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tokenmeter.providers.base import Api, Json, Reading, State, mapping, text
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import Dialect, error_type, head, read_usage

DONE = b"[DONE]"
_WHOLE = frozenset({"chat.completion", "chat.completion.done"})


def chat_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of chat or legacy completions."""
    return Api(
        operation=operation,
        event_name="text_generated",
        read=read_chat,
        settle=partial(settle_text, dialect),
        text=chat_text,
        done=DONE,
        owns_ids=dialect.owns_ids,
    )


def plain_api(dialect: Dialect, operation: str, event_name: str) -> Api:
    """Return the Api of an endpoint that answers in one body with one usage."""
    return Api(operation, event_name, read_plain, partial(settle_text, dialect))


def read_plain(payload: Json) -> Reading:
    """Read an answer that is complete as it comes: embeddings, decisions."""
    return read_usage(payload.get("usage")) | head(payload, state="success")


def read_chat(payload: Json) -> Reading:
    """
    Read a completion or one chunk of it.

    Groq reports a stream's usage under `x_groq`; Azure's first chunk has ``choices: []`` and
    no usage; every other chunk may carry ``usage: null``.
    """
    usage = payload.get("usage")
    if usage is None:
        usage = mapping(payload.get("x_groq")).get("usage")
    choices = _choices(payload)
    reading = read_usage(usage) | head(payload, state=_state(payload, choices, usage))
    tier = text(mapping(usage).get("service_tier"))
    if tier and not reading.dimensions:
        reading = replace(reading, dimensions={"service_tier": tier})
    failure = next(filter(None, map(error_type, choices)), None)
    if failure:
        reading = replace(reading, state="failed", error_type=failure)
    return _with_candidates(reading, payload, choices)


def _with_candidates(reading: Reading, payload: Json, choices: list[Json]) -> Reading:
    """Count the candidates of a whole answer that reports its usage."""
    whole = choices and all("message" in choice or "text" in choice for choice in choices)
    if not whole or not reading.usage or _is_chunk(payload, choices):
        return reading
    return replace(reading, usage=reading.usage | {"output_count": len(choices)})


def _choices(payload: Json) -> list[Json]:
    choices = payload.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, dict)]


def _is_chunk(payload: Json, choices: list[Json]) -> bool:
    """Tell a chunk of a stream; legacy completions name it as they name the whole."""
    kind = text(payload.get("object")) or ""
    return kind.endswith(("chunk", ".done")) or any("delta" in choice for choice in choices)


def _state(payload: Json, choices: list[Json], usage: object) -> State | None:
    if payload.get("object") in _WHOLE:
        return "success"
    if "choices" not in payload:
        return None
    finished = all(choice.get("finish_reason") for choice in choices)
    if usage and finished:
        return "success"
    if _is_chunk(payload, choices) or not choices:
        return None
    is_whole = "message" in choices[0] or (finished and "usage" not in payload)
    return "success" if is_whole else None


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
