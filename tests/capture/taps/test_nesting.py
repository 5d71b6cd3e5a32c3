"""Taps over taps make one event; turned off, everything is as it was."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import openai
import pytest
from google import genai
from google.genai import types

from tests.capture import wire
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import session_of
from tests.capture.taps.test_requests_attempts import moved
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter, UnknownClientError

URL = "http://api.openai.com/v1/chat/completions"
METHODS = [
    ("requests.sessions", "Session", "send"),
    ("aiohttp.client", "ClientSession", "_request"),
    ("botocore.httpsession", "URLLib3Session", "send"),
]

# google-genai makes a class of its own of ClientSession.
GENAI_WARNS = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def alone() -> Iterator[TokenMeter]:
    """A meter that is not instrumented."""
    made = TokenMeter("memory:")
    yield made
    made.shutdown()
    assert not made.faults


@pytest.fixture
async def over_aiohttp(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client on httpx2 over aiohttp."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    async with openai.AsyncOpenAI(
        api_key="k",
        base_url="http://api.openai.com/v1",
        http_client=openai.DefaultAioHttpClient(),
        max_retries=1,
    ) as client:
        yield client


async def test_httpx2_over_aiohttp_is_one_event(
    meter: TokenMeter, server: Server, over_aiohttp: openai.AsyncOpenAI
) -> None:
    server.play(wire.chat())
    answer = await over_aiohttp.chat.completions.create(**ASK)
    assert answer.usage is not None
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


async def test_a_stream_of_httpx2_over_aiohttp_is_one_event(
    meter: TokenMeter, server: Server, over_aiohttp: openai.AsyncOpenAI
) -> None:
    server.play(wire.chat_stream())
    stream: Any = await over_aiohttp.chat.completions.create(**ASK, stream=True)
    text = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(text) == "".join(wire.WORDS)
    assert json.loads(server.sent[0].body)["stream_options"] == {"include_usage": True}
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


async def test_retries_of_httpx2_over_aiohttp_are_attempts(
    meter: TokenMeter, server: Server, over_aiohttp: openai.AsyncOpenAI
) -> None:
    server.play(wire.failure(), wire.chat())
    await over_aiohttp.chat.completions.create(**ASK)
    assert [event.properties["attempt"] for event in events_of(meter)] == [1, 2]


async def test_wrapped_and_instrumented_is_one_event(meter: TokenMeter, server: Server) -> None:
    server.play(wire.chat())
    session, _ = session_of(wire.chat("chatcmpl-r"))
    assert meter.wrap(session) is session
    session.post(URL, json=ASK)
    async with (
        aiohttp.ClientSession(proxy=server.url) as client,
        meter.wrap(client).post(URL, json=ASK) as response,
    ):
        await response.read()
    server.play(bedrock.converse())
    with bedrock.client(server) as aws:
        meter.wrap(aws).converse(**bedrock.ASK)
    assert len(events_of(meter)) == 3


async def test_only_what_is_wrapped_is_metered(alone: TokenMeter, server: Server) -> None:
    server.play(wire.chat_stream())
    wrapped, _ = session_of(wire.chat_stream())
    other, _ = session_of(wire.chat_stream())
    alone.wrap(wrapped)
    for session in (wrapped, other):
        session.post(URL, json={**ASK, "stream": True})
    async with aiohttp.ClientSession(proxy=server.url) as client:
        alone.wrap(client)
        async with client.post(URL, json=ASK) as response:
            await response.read()
        async with aiohttp.request("POST", URL, json=ASK, proxy=server.url) as response:
            await response.read()
    server.play(bedrock.converse())
    with bedrock.client(server) as aws, bedrock.client(server) as second:
        alone.wrap(aws).converse(**bedrock.ASK)
        second.converse(**bedrock.ASK)
    assert len(events_of(alone)) == 3


def test_a_redirect_of_a_wrapped_session_is_one_event(alone: TokenMeter) -> None:
    session, _ = session_of(moved(URL + "?a=1"), wire.chat())
    alone.wrap(session).post(URL, json=ASK)
    assert_usage(only(alone), input_tokens=9, output_tokens=2)


async def test_the_latest_meter_of_a_client_gets_its_calls(alone: TokenMeter) -> None:
    session, _ = session_of(wire.chat())
    second = TokenMeter("memory:")
    second.wrap(alone.wrap(session))
    session.post(URL, json=ASK)
    assert not events_of(alone)
    assert len(events_of(second)) == 1
    second.shutdown()


@GENAI_WARNS
@pytest.mark.parametrize("stream", [True, False])
async def test_the_session_that_genai_makes_later_is_wrapped(
    alone: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    options = types.HttpOptions(base_url="http://generativelanguage.googleapis.com")
    client = alone.wrap(genai.Client(api_key="k", http_options=options))
    server.play(wire.gemini_stream() if stream else wire.gemini())
    models, ask = client.aio.models, {"model": "gemini-2.5-flash", "contents": "Hello"}
    if stream:
        async for _ in await models.generate_content_stream(**ask):  # type: ignore[arg-type]
            pass
    else:
        await models.generate_content(**ask)  # type: ignore[arg-type]
    await client.aio.aclose()
    assert server.sent[0].headers["host"] == "generativelanguage.googleapis.com"
    assert only(alone).properties["input_tokens"] == 8


@GENAI_WARNS
async def test_genai_over_aiohttp_is_one_event(
    meter: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    options = types.HttpOptions(base_url="http://generativelanguage.googleapis.com")
    client = meter.wrap(genai.Client(api_key="k", http_options=options))
    server.play(wire.gemini())
    await client.aio.models.generate_content(model="gemini-2.5-flash", contents="Hello")
    await client.aio.aclose()
    assert only(meter).properties["input_tokens"] == 8


def test_a_boto3_resource_holds_a_client(alone: TokenMeter, server: Server) -> None:
    class Resource:
        class meta:
            client: Any = None

    server.play(bedrock.converse())
    with bedrock.client(server) as aws:
        Resource.meta.client = aws
        alone.wrap(Resource())
        aws.converse(**bedrock.ASK)
    assert len(events_of(alone)) == 1


def test_what_is_no_client_is_refused(alone: TokenMeter) -> None:
    with pytest.raises(UnknownClientError, match=r"requests\.Session"):
        alone.wrap(object())


@pytest.mark.parametrize(("module", "owner", "method"), METHODS)
def test_uninstrument_restores_the_method(
    alone: TokenMeter, module: str, owner: str, method: str
) -> None:
    def found() -> Any:
        return vars(getattr(importlib.import_module(module), owner))[method]

    original = found()
    alone.instrument()
    assert found() is not original
    alone.instrument()
    alone.uninstrument()
    assert found() is not original
    alone.uninstrument()
    assert found() is original


IMPORTED_LATER = """
import sys, tokenmeter
meter = tokenmeter.TokenMeter("memory:")
meter.instrument()
for name in ("requests", "aiohttp", "botocore"):
    assert name not in sys.modules, name
import aiohttp, botocore.httpsession, requests
for method in (
    requests.Session.send, aiohttp.ClientSession._request, botocore.httpsession.URLLib3Session.send
):
    assert hasattr(method, "__wrapped__"), method
meter.uninstrument()
assert not hasattr(requests.Session.send, "__wrapped__")
meter.shutdown()
"""


def test_libraries_imported_after_instrument_are_metered() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORTED_LATER], check=False, timeout=60)
    assert run.returncode == 0
