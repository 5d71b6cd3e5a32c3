"""aiohttp: every kind of request body is read for its parameters, and sent as it is."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Generator
from typing import Any

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.taps.server import Server, serving
from tests.capture.test_openai_lifecycle import ASK, events_of, only
from tokenmeter import TokenMeter

URL = "http://api.openai.com/v1/chat/completions"


@pytest.fixture
def server() -> Generator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(proxy=server.url) as made:
        yield made


def form() -> aiohttp.FormData:
    made = aiohttp.FormData({"model": "gpt-image-1", "prompt": "a cat"})
    made.add_field("image", io.BytesIO(b"png"), filename="a.png")
    return made


def writer() -> aiohttp.MultipartWriter:
    made = aiohttp.MultipartWriter("form-data")
    made.append("gpt-image-1").set_content_disposition("form-data", name="model")
    made.append("a cat").set_content_disposition("form-data", name="prompt")
    image = made.append(b"png")
    image.set_content_disposition("form-data", name="image", filename="a.png")
    return made


def fields() -> dict[str, Any]:
    return {"model": "gpt-image-1", "prompt": "a cat", "image": io.BytesIO(b"png")}


@pytest.mark.parametrize("make", [form, writer, fields])
async def test_the_fields_of_a_form_are_read(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession, make: Any
) -> None:
    server.play(wire.image())
    async with session.post("http://api.openai.com/v1/images/edits", data=make()) as response:
        await response.read()
    event = only(meter)
    assert event.properties["request_model"] == "gpt-image-1"
    assert event.properties["image_count"] == 1
    assert b"png" in server.sent[0].body


async def test_a_payload_and_a_stream_are_sent_as_they_are(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(ASK).encode()

    server.play(wire.chat())
    for data in (aiohttp.JsonPayload(ASK), pieces(), io.BytesIO(json.dumps(ASK).encode())):
        async with session.post(URL, data=data) as response:
            assert (await response.json())["id"]
    assert [json.loads(sent.body) for sent in server.sent] == [ASK, ASK, ASK]
    models = [event.properties.get("request_model") for event in events_of(meter)]
    assert models == ["gpt-4o-mini", None, "gpt-4o-mini"]
