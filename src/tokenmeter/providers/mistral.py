"""
What Mistral serves beside the API of OpenAI's form: conversations of agents, OCR, classifiers.

A conversation's `prompt_tokens` leave out what connectors (a web search, a library) brought in;
the total holds it: 188 + 55 + 7,112 connector tokens are 7,355.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tokenmeter.providers.base import (
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    Request,
    counts,
    mapping,
    settled_as_read,
    text,
)
from tokenmeter.providers.openai_chat import plain_api
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN, answer, error_type, is_true

_PATH = re.compile(
    r"/v1/(?:(?P<ocr>ocr)|(?P<judges>moderations|chat/moderations|classifications"
    r"|chat/classifications)|conversations(?:/[^/]+(?:/restart)?)?)/?$"
)
_DONE = "conversation.response.done"
_FAILED = "conversation.response.error"
_PAGES = {"pages_processed": "page_count"}


def describe_mistral(request: Request) -> Call | None:
    """Describe a request to one of Mistral's own endpoints; None for any other."""
    found = _PATH.search(request.path)
    if found is None or request.method != "POST":
        return None
    body = request.body
    api = OCR if found["ocr"] else JUDGEMENT if found["judges"] else CONVERSATION
    return Call("mistral", api, text(body.get("model")), is_true(body.get("stream")))


def read_conversation(payload: Json) -> Reading:
    """
    Read a whole answer, or one event of a stream, whose last one reports the usage.

    The name of a conversation stays as it goes on, so it is no answer's own.
    """
    kind = text(payload.get("type"))
    if kind == _FAILED:
        failure = error_type({**payload, "type": None, "error": True})
        return Reading(state="failed", error_type=failure)
    if kind not in (None, _DONE):
        return replace(NO_READING, model=text(payload.get("model")))
    reading = replace(answer(payload, payload.get("usage"), "success"), response_id=None)
    models = [text(entry.get("model")) for entry in _entries(payload)]
    return replace(reading, model=next(filter(None, models), reading.model))


def _entries(payload: Json) -> Iterator[Json]:
    outputs = payload.get("outputs")
    yield from map(mapping, outputs if isinstance(outputs, list) else ())


def conversation_text(event: Json) -> str:
    """Return what one event delivers: a piece of the answer, or of a call's arguments."""
    kind = text(event.get("type")) or ""
    piece = event.get("content", event.get("arguments"))
    if isinstance(piece, dict):
        piece = piece.get("text")
    return piece if isinstance(piece, str) and kind.endswith(".delta") else ""


def read_ocr(payload: Json) -> Reading:
    """Read the pages that were billed."""
    numbers, flags = counts(mapping(payload.get("usage_info")), _PAGES)
    reading = answer(payload, None, "success")
    return replace(reading, usage=numbers, flags=reading.flags | flags)


CONVERSATION = Api(
    "conversations",
    "text_generated",
    read_conversation,
    partial(settle_text, PLAIN),
    (b'"usage"', b'"error"', f'"{_FAILED}"'.encode()),
    conversation_text,
)
OCR = Api("ocr", "api_calls", read_ocr, settled_as_read)
# Unlike OpenAI, Mistral bills its moderation, by the token.
JUDGEMENT = plain_api(PLAIN, "classifications", "api_calls")
