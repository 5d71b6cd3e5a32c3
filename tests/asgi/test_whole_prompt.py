"""What is held covers all text of a request, wherever it stands; and no more for what is usual."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenmeter.enforcement import Ask

WORDS = "lorem ipsum dolor sit amet " * 4_000  # some 24,000 tokens
LEAST = 20_000
CHAT, RESPONSES, CLAUDE = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
DRAWING = "/v1beta/models/gemini-2.5-flash-image:generateContent"
USER = {"role": "user", "content": "Hi"}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "gpt-4o", "max_tokens": 5, "messages": [USER]},
    RESPONSES: {"model": "gpt-4o", "max_output_tokens": 5, "input": "Hi"},
    CLAUDE: {"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": [USER]},
    GEMINI: {"contents": [{"parts": [{"text": "Hi"}]}]},
    DRAWING: {"contents": [{"parts": [{"text": "Hi"}]}]},
}
TEXT = {"type": "text/plain", "data": base64.b64encode(WORDS.encode()).decode()}
BYTES = base64.b64encode(bytes(range(256)) * 4_000).decode()
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BYTES}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": BYTES, "format": "wav"}}


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


async def held(meter: TokenMeter, path: str, more: dict[str, Any]) -> int:
    """Return the input tokens that a gate is asked about at the most."""
    most = await held_event(meter, path, more)
    return int(most.properties["input_tokens"])


async def held_event(meter: TokenMeter, path: str, more: dict[str, Any]) -> Event:
    """Return the event that a call may become at the most."""
    asked: list[Ask] = []
    app = answering(200, {"content-type": "application/json"}, [b"{}"])
    gateway = TokenMeterMiddleware(
        app, customer=lambda _r: "acme", meter=meter, enforce=asked.append
    )
    body = json.dumps({**BODIES[path], **more}).encode()
    await ask(gateway, scope_of("POST", path), body)
    (most,) = asked[0].most
    return most


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {"tools": [{"type": "custom", "custom": {"name": "a", "description": WORDS}}]}),
        (CHAT, {"prediction": {"type": "content", "content": WORDS}}),
        (CHAT, {"a_field_of_next_year": {"within": [{"a_list": WORDS}]}}),
        (CHAT, {"a_field_of_next_year": {WORDS: True}}),
        (CHAT, {"messages": [{"role": "user", "content": f"data: {WORDS}"}]}),
        (CHAT, {"messages": [{"role": "user", "content": WORDS.replace(" ", "\n")}]}),
        (CHAT, {"messages": [{"role": "user", "content": WORDS.replace(" ", "_")}]}),
        (CHAT, {"messages": [{"role": "user", "content": "你好世界" * 10_000}]}),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "a", "description": WORDS}]}),
        (RESPONSES, {"input": [{"type": "mcp_call", "id": "1", "name": "a", "output": WORDS}]}),
        (CLAUDE, {"output_format": {"type": "json_schema", "schema": {"title": WORDS}}}),
        (GEMINI, {"contents": [{"parts": [{"inlineData": {**TEXT, "mimeType": "text/plain"}}]}]}),
    ],
)
async def test_text_is_held_wherever_it_stands(
    meter: TokenMeter, path: str, more: dict[str, Any]
) -> None:
    assert await held(meter, path, more) > LEAST


@pytest.mark.parametrize(
    ("path", "more", "most"),
    [
        (CHAT, {}, 20),
        (CHAT, {"messages": [USER] * 300, "user": "u" * 64, "metadata": {"a": "b"}}, 1_600),
        (CHAT, {"messages": [{"role": "user", "content": [PICTURE]}]}, 2_000),
        (CHAT, {"messages": [{"role": "user", "content": [SOUND]}]}, 20_100),
        (CLAUDE, {"system": [{"type": "text", "text": WORDS}]}, 52_000),
    ],
)
async def test_a_usual_request_is_held_as_it_is_counted(
    meter: TokenMeter, path: str, more: dict[str, Any], most: int
) -> None:
    assert await held(meter, path, more) <= most


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (RESPONSES, {"previous_response_id": "resp_1"}),
        (RESPONSES, {"conversation": {"id": "conv_1"}}),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}),
        (GEMINI, {"cachedContent": "cachedContents/1"}),
    ],
)
async def test_what_the_provider_keeps_is_held_as_a_file_is(
    meter: TokenMeter, path: str, more: dict[str, Any]
) -> None:
    assert await held(meter, path, {}) < LEAST <= await held(meter, path, more)


FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
OWN = {"name": "weather", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("path", "more", "searches"),
    [
        (CLAUDE, {"tools": [SEARCH]}, 10),
        (CLAUDE, {"tools": [{**SEARCH, "max_uses": 3}, OWN]}, 3),
        (CLAUDE, {"tools": [FETCH]}, None),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, 10),
        (RESPONSES, {"tools": [{"type": "web_search_preview"}], "max_tool_calls": 2}, 2),
        (RESPONSES, {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, None),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "a", "server_url": "u"}]}, None),
        (CHAT, {"web_search_options": {}}, 1),
        (GEMINI, {"tools": [{"googleSearch": {}}]}, 10),
        (GEMINI, {"tools": [{"google_search": {}}, {"urlContext": {}}]}, 10),
    ],
)
async def test_what_the_providers_tools_may_read_and_search_is_held(
    meter: TokenMeter, path: str, more: dict[str, Any], searches: int | None
) -> None:
    asked = await held_event(meter, path, more)
    assert int(asked.properties["input_tokens"]) >= LEAST
    assert asked.properties.get("web_search_count") == searches


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CLAUDE, {"tools": [OWN]}),
        (RESPONSES, {"tools": [{"type": "image_generation"}]}),
        (RESPONSES, {"tools": []}),
        (CLAUDE, {"tools": "none"}),
    ],
)
async def test_tools_that_read_nothing_hold_nothing_more(
    meter: TokenMeter, path: str, more: dict[str, Any]
) -> None:
    asked = await held_event(meter, path, more)
    assert int(asked.properties["input_tokens"]) < 1_000
    assert "web_search_count" not in asked.properties


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {"model": "gpt-audio", "max_tokens": 900, "modalities": ["text", "audio"]}),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 900, "responseModalities": ["AUDIO"]}}),
        (
            GEMINI,
            {"generation_config": {"max_output_tokens": 900, "response_modalities": ["audio"]}},
        ),
    ],
)
async def test_an_answer_that_may_be_spoken_is_held_as_sound(
    meter: TokenMeter, path: str, more: dict[str, Any]
) -> None:
    asked = await held_event(meter, path, more)
    assert (asked.properties["output_tokens"], asked.properties["output_audio_tokens"]) == (
        *(900, 900),
    )


async def test_an_estimated_prompt_is_held_with_what_estimates_were_too_low(
    meter: TokenMeter,
) -> None:
    """A word that Claude reads as two tokens, and OpenAI's encoding as one."""
    words = {"messages": [{"role": "user", "content": "farewell " * 1_000}]}
    assert await held(meter, CLAUDE, words) >= 2_000
    assert await held(meter, CHAT, words) == 1_009, "an exact count needs no more"


async def test_a_picture_is_held_as_one_though_sound_is_asked_for_beside_it(
    meter: TokenMeter,
) -> None:
    said = {"generationConfig": {"responseModalities": ["IMAGE", "AUDIO"]}}
    asked = await held_event(meter, DRAWING, said)
    assert asked.event_name == "image_generated"
    assert asked.properties["image_count"] == 1
