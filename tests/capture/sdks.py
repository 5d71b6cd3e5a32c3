"""Send a recorded request through the provider's own SDK."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import anthropic
import httpx2
import openai
from anthropic.lib.vertex import AnthropicVertex
from google import genai
from google.genai import types as genai_types

from tests.capture.play import Player
from tests.corpus import Exchange
from tokenmeter.capture.requests import parse_body

NO_RETRIES = 0
_MODEL = re.compile(r"/models/([^/:]+):")


def body_of(exchange: Exchange) -> dict[str, Any]:
    content_type = next(
        (v for k, v in exchange.request["headers"].items() if k.lower() == "content-type"), ""
    )
    return parse_body(exchange.request_body, content_type)


def send(exchange: Exchange, player: Player) -> None:
    """Make the call and read its whole answer; the SDK's errors are part of the game."""
    senders = {"anthropic": _anthropic, "gemini": _gemini, "vertex": _vertex}
    sender = senders.get(exchange.expected["provider"], _openai)  # who speaks OpenAI's API
    with httpx2.Client(transport=player.transport(), follow_redirects=True) as http:
        try:
            sender(exchange, http)
        except (openai.APIError, anthropic.APIError, genai.errors.APIError):
            return


def _drain(answer: Any) -> None:
    if hasattr(answer, "__next__") or isinstance(answer, openai.Stream | anthropic.Stream):
        for _ in answer:
            pass


def _openai(exchange: Exchange, http: httpx2.Client) -> None:
    url, _, query = exchange.url.partition("?")
    path = _PATHS.get(exchange.api, "")
    named = url.endswith(path) and exchange.request["method"] == "POST"
    base = url.removesuffix(path) if named else _BASE.split(url)[0] + "/v1"
    client = openai.OpenAI(
        api_key="k",
        http_client=http,
        max_retries=NO_RETRIES,
        base_url=base,
        default_query=dict(parse_qsl(query)),
    )
    body = body_of(exchange)
    method = _openai_method(client, exchange) if named or exchange.api in _BY_ID else None
    if method is None:
        _openai_raw(client, exchange, body)
    else:
        _drain(method(body))


_File = ("f.bin", b"bytes")
_BASE = re.compile(r"/v1(?=/|$)")
_BY_ID = {"responses.retrieve"}
_PATHS = {
    name: "/" + name.replace(".", "/")
    for name in (
        *("chat.completions", "completions", "responses", "embeddings", "moderations"),
        *("images.generations", "images.edits", "images.variations"),
        *("audio.speech", "audio.transcriptions", "audio.translations"),
    )
}


def _openai_method(client: openai.OpenAI, exchange: Exchange) -> Callable[[Any], Any] | None:
    content_type = exchange.response["headers"].get("content-type", "")
    streams = content_type.startswith("text/event-stream") or exchange.expected["streamed"]

    def named(call: Any, *required: str) -> Callable[[Any], Any]:
        def make(body: dict[str, Any]) -> Any:
            own = {name: body.get(name, "x") for name in required}
            rest = {k: v for k, v in body.items() if k not in {*required, "stream"}}
            stream = {"stream": True} if streams or body.get("stream") is True else {}
            return call(**own, **stream, extra_body=rest)

        return make

    def filed(call: Any, field: str, *required: str) -> Callable[[Any], Any]:
        def make(body: dict[str, Any]) -> Any:
            own = {name: body.get(name, "x") for name in required}
            rest = {
                k: v for k, v in body.items() if k not in {*required, field, "stream"} and v != ""
            }
            stream = {"stream": True} if streams or body.get("stream") == "true" else {}
            return call(**{field: _File}, **own, **stream, extra_body=rest)

        return make

    def retrieved(_body: dict[str, Any]) -> Any:
        path = exchange.request["url"].rpartition("/")[2]
        return client.responses.retrieve(path.partition("?")[0])

    return {
        "chat.completions": named(client.chat.completions.create, "model", "messages"),
        "completions": named(client.completions.create, "model", "prompt"),
        "responses": named(client.responses.create),
        "embeddings": named(client.embeddings.create, "model", "input"),
        "images.generations": named(client.images.generate, "prompt"),
        "images.edits": filed(client.images.edit, "image", "prompt"),
        "images.variations": filed(client.images.create_variation, "image"),  # pyright: ignore[reportDeprecated]
        "moderations": named(client.moderations.create, "input"),
        "audio.speech": named(client.audio.speech.create, "model", "voice", "input"),
        "audio.transcriptions": filed(client.audio.transcriptions.create, "file", "model"),
        "audio.translations": filed(client.audio.translations.create, "file", "model"),  # pyright: ignore[reportDeprecated]
        "responses.retrieve": retrieved,
    }.get(exchange.api)


def _openai_raw(client: openai.OpenAI, exchange: Exchange, body: dict[str, Any]) -> None:
    """Endpoints that this SDK no longer has a method for: its own `client.post`."""
    path = _BASE.split(exchange.url, maxsplit=1)[1]
    if exchange.request["method"] == "GET":
        client.get(path, cast_to=object)
    elif exchange.expected["streamed"]:
        stream_cls = openai.Stream[object]
        _drain(client.post(path, cast_to=object, body=body, stream=True, stream_cls=stream_cls))
    else:
        client.post(path, cast_to=object, body=body)


def _anthropic(exchange: Exchange, http: httpx2.Client) -> None:
    client = anthropic.Anthropic(api_key="k", http_client=http, max_retries=NO_RETRIES)
    body = body_of(exchange)
    path = exchange.request["url"].partition("anthropic.com")[2]
    stream = exchange.expected["streamed"] or body.get("stream") is True
    if exchange.api == "messages" and "beta" not in path:
        own = {name: body.pop(name, None) for name in ("model", "messages", "max_tokens")}
        body.pop("stream", None)
        own["max_tokens"] = own["max_tokens"] or 8
        _drain(client.messages.create(**own, stream=stream, extra_body=body, timeout=60.0))
    elif exchange.request["method"] == "GET":
        client.get(path, cast_to=object)
    elif stream:
        stream_cls = anthropic.Stream[object]
        _drain(client.post(path, cast_to=object, body=body, stream=True, stream_cls=stream_cls))
    else:
        client.post(path, cast_to=object, body=body)


def _gemini(exchange: Exchange, http: httpx2.Client) -> None:
    if exchange.api == "chat.completions":
        _openai(exchange, http)
        return
    options = genai_types.HttpOptions(httpx_client=http)
    _google(genai.Client(api_key="k", http_options=options), exchange)


def _vertex(exchange: Exchange, http: httpx2.Client) -> None:
    if "rawPredict" in exchange.api or "streamRawPredict" in exchange.api:
        _anthropic_on_vertex(exchange, http)
        return
    options = genai_types.HttpOptions(httpx_client=http)
    client = genai.Client(
        vertexai=True,
        project="p",
        location="us-central1",
        credentials=_credentials(),
        http_options=options,
    )
    _google(client, exchange)


def _credentials() -> Any:
    from google.oauth2.credentials import Credentials

    return Credentials(token="t")  # type: ignore[no-untyped-call]


def _anthropic_on_vertex(exchange: Exchange, http: httpx2.Client) -> None:
    client = AnthropicVertex(
        region="us-east5", project_id="p", access_token="t", http_client=http, max_retries=0
    )
    model = _MODEL.search(exchange.request["url"])
    body = body_of(exchange)
    stream = exchange.expected["streamed"]
    messages = body["messages"]
    _drain(
        client.messages.create(
            model=model[1] if model else "m", messages=messages, max_tokens=8, stream=stream
        )
    )


def _google(client: genai.Client, exchange: Exchange) -> None:
    found = _MODEL.search(exchange.request["url"])
    model = found[1] if found else "gemini-2.5-flash"
    config = genai_types.GenerateContentConfig()
    if exchange.api == "generateContent":
        client.models.generate_content(model=model, contents="hi", config=config)
    elif exchange.api == "streamGenerateContent":
        _drain(client.models.generate_content_stream(model=model, contents="hi"))
    elif exchange.api in {"batchEmbedContents", "predict"}:
        client.models.embed_content(model=model, contents=["hi"])
    elif exchange.api == "countTokens":
        client.models.count_tokens(model=model, contents="hi")
    elif exchange.api == "interactions":
        stream = bool(exchange.expected["streamed"])
        answer: Any = client.interactions.create(
            model="gemini-2.5-flash", input="hi", stream=stream
        )
        _drain(answer)
    else:
        _google_raw(client, exchange)


def _google_raw(client: genai.Client, exchange: Exchange) -> None:
    """Through the SDK's own request function, for paths without a stable method."""
    path = exchange.request["url"].partition("/v1beta/")[2]
    method = exchange.request["method"].lower()
    body = body_of(exchange)
    client._api_client.request(method, path, body)
