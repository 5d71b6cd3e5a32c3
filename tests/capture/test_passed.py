"""How much text an aborted stream had brought: what is large and no text does not count."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tokenmeter.capture.passed import LARGE_BYTES, SAMPLE_BYTES_MAX
from tokenmeter.capture.sse import HELD_BYTES_MAX, EventReader
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import Api

Event = dict[str, Any]
WORDS = [f"word{n} " for n in range(200)]
TEXT_BYTES = sum(map(len, WORDS))
GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


def api(host: str, path: str) -> Api:
    adapter = find(host, path)
    assert adapter is not None
    body = {"model": "m", "messages": [], "input": "", "stream": True}
    call = adapter.describe(Request("POST", host, path, body=body))
    assert call is not None
    return call.api


def noise(size: int) -> str:
    return "QUJD" * (size // 4)


def message(text: str) -> Event:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 1, "delta": delta}


def found(size: int) -> Event:
    """What Anthropic's web search found, as it is handed to the model."""
    block = {"type": "web_search_tool_result", "content": [{"encrypted_content": noise(size)}]}
    return {"type": "content_block_start", "index": 0, "content_block": block}


def said(text: str) -> Event:
    return {"type": "response.output_text.delta", "delta": text, "item_id": "m", "output_index": 0}


def drawn(size: int) -> Event:
    kind = "response.image_generation_call.partial_image"
    return {"type": kind, "partial_image_index": 0, "partial_image_b64": noise(size)}


def part(**what: Any) -> Event:
    return {"candidates": [{"content": {"parts": [what]}}], "responseId": "r"}


def page(text: str) -> Event:
    return part(text=text)


def chat(text: str) -> Event:
    return chunk(content=text)


def chunk(**delta: Any) -> Event:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]}


def echoed(size: int) -> Event:
    """The first event of a response tells the request again: instructions and tools."""
    asked = {"id": "resp_1", "status": "in_progress", "instructions": noise(size), "usage": None}
    return {"type": "response.created", "response": asked}


def image(size: int) -> Event:
    return part(inlineData={"mimeType": "image/png", "data": noise(size)})


def pictured(size: int) -> Event:
    return chunk(images=[{"image_url": {"url": "data:image/png;base64," + noise(size)}}])


Make = Callable[[Any], Event]
STREAMS: dict[str, tuple[Api, Make, Make]] = {
    "anthropic search": (api("api.anthropic.com", "/v1/messages"), message, found),
    "responses request": (api("api.openai.com", "/v1/responses"), said, echoed),
    "responses image": (api("api.openai.com", "/v1/responses"), said, drawn),
    "gemini image": (api("generativelanguage.googleapis.com", GEMINI), page, image),
    "chat image": (api("api.openai.com", "/v1/chat/completions"), chat, pictured),
}
SIZES = [LARGE_BYTES, 3 * SAMPLE_BYTES_MAX, HELD_BYTES_MAX // 2, 3 * HELD_BYTES_MAX]


def told(events: list[Event], ending: bytes = b"\n\n") -> list[bytes]:
    return [b"data: " + json.dumps(event).encode() + ending for event in events]


def read(reader: EventReader, chunks: list[bytes]) -> int:
    for data in chunks:
        if not reader.quiet(data):
            reader.feed(data)
    return reader.text_bytes()


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", [0, 100, 200])
def test_a_large_event_that_is_no_text_does_not_count(kind: str, size: int, place: int) -> None:
    api, text, other = STREAMS[kind]
    events = [*map(text, WORDS[:place]), other(size), *map(text, WORDS[place:])]
    for ending in (b"\n\n", b"\r\n\r\n"):
        each = told(events, ending)
        body = b"".join(each)
        for chunks in (each, [body], cut(body, 300), cut(body, 8_192)):
            estimate = read(EventReader(api), chunks)
            assert estimate == pytest.approx(TEXT_BYTES, rel=0.1)


@pytest.mark.parametrize("kind", STREAMS)
def test_a_large_event_that_is_text_counts_whole(kind: str) -> None:
    api, text, _ = STREAMS[kind]
    pages = told([text("many words " * 1_000) for _ in range(5)])
    for chunks in (pages, [b"".join(pages)], cut(b"".join(pages), 300)):
        assert read(EventReader(api), chunks) == 5 * 11_000


@pytest.mark.parametrize("size", SIZES)
def test_what_has_not_come_whole_does_not_count(size: int) -> None:
    api, text, other = STREAMS["gemini image"]
    begun = told([other(size)])[0][:-100]
    estimate = read(EventReader(api), [*told([text(word) for word in WORDS]), *cut(begun, 1_000)])
    assert estimate == pytest.approx(TEXT_BYTES, rel=0.1)
