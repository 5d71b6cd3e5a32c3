"""requests: however the body is read, the user gets what they would, and one event is made."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from tests.capture import wire
from tests.capture.play import Answer, Player, chunks_of
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import playing, session_of
from tests.capture.taps.ways import WAYS
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter
from tokenmeter.capture.previewing import stopped_call

URL = "https://api.openai.com/v1/chat/completions"
CLAUDE_URL = "http://api.anthropic.com/v1/messages"
ASK_CLAUDE: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 8,
    "messages": [],
    "stream": True,
}
STREAM = {**ASK, "stream": True}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def packed(answer: Answer, encoding: str) -> Answer:
    """The same answer, compressed, in pieces of 10 bytes."""
    body = b"".join(answer.chunks)
    small = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    headers = {**answer.headers, "content-encoding": encoding}
    return Answer(answer.status, headers, chunks_of(small, 10))


@contextlib.contextmanager
def watching() -> Generator[TokenMeter]:
    meter = TokenMeter("memory:")
    meter.instrument()
    try:
        yield meter
    finally:
        meter.shutdown()


def get(server: Server, way: str, url: str = CLAUDE_URL, body: Any = None) -> tuple[bytes, str]:
    """Read an answer over a socket; return its bytes, and the type of `raw`."""
    with (
        requests.Session() as session,
        session.post(
            url, json=body or ASK_CLAUDE, stream=True, proxies={"http": server.url}
        ) as response,
    ):
        return WAYS[way](response), type(response.raw).__name__


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
def test_every_way_to_read_gives_what_it_gives_without_us(
    server: Server, way: str, encoding: str, with_length: bool
) -> None:
    answer = wire.message_stream()
    if encoding != "identity":
        answer = packed(answer, encoding)
    server.with_length = with_length
    server.play(answer)
    expected, kind = get(server, way)
    assert kind == "HTTPResponse"
    with watching() as meter:
        found, _ = get(server, way)
        assert found == expected
        assert_usage(only(meter), input_tokens=10, output_tokens=7)
        assert not meter.faults


SHOWN = b"".join(wire.chat_stream(usage=False).chunks)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
def test_usage_that_only_we_asked_for_is_taken_out(
    meter: TokenMeter, server: Server, way: str, with_length: bool
) -> None:
    server.with_length = with_length
    server.play(wire.chat_stream())
    found, _ = get(server, way, URL.replace("https", "http"), STREAM)
    if way == "iter_lines":
        found, shown = b"".join(found.split()), b"".join(SHOWN.split())
    else:
        shown = SHOWN
    assert found == shown
    sent = server.sent[0]
    assert json.loads(sent.body)["stream_options"] == {"include_usage": True}
    assert sent.headers["accept-encoding"] == "identity"
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


@pytest.mark.parametrize("way", ["content", "iter_content", "iter raw"])
def test_it_is_taken_out_even_if_the_server_compresses(
    meter: TokenMeter, server: Server, way: str
) -> None:
    server.play(packed(wire.chat_stream(), "gzip"))
    found, _ = get(server, way, URL.replace("https", "http"), STREAM)
    assert found == SHOWN
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


def test_compressed_bytes_are_never_edited(meter: TokenMeter, server: Server) -> None:
    answer = packed(wire.chat_stream(), "gzip")
    server.play(answer)
    found, _ = get(server, "raw.read", URL.replace("https", "http"), STREAM)
    assert found == b"".join(answer.chunks)
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


def test_the_request_of_the_response_stays_the_users_own(meter: TokenMeter) -> None:
    session, player = session_of(wire.chat_stream())
    with session.post(URL, json=STREAM, stream=True) as response:
        assert response.content == SHOWN
    body: Any = response.request.body
    assert json.loads(body) == STREAM
    assert response.request.headers["accept-encoding"] != "identity"
    assert player.sent[0].body != response.request.body
    assert len(player.sent[0].body) == int(player.sent[0].headers["content-length"])


def test_a_plain_call_is_captured(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat())
    response = session.post(URL, json=ASK)
    assert type(response) is requests.Response
    assert response.json()["usage"]["total_tokens"] == 11
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_multipart_body_is_read(meter: TokenMeter) -> None:
    session, _ = session_of(wire.image())
    url = "https://api.openai.com/v1/images/edits"
    fields = {"model": "gpt-image-1", "prompt": "a cat", "quality": "high"}
    session.post(url, data=fields, files={"image": ("a.png", b"png", "image/png")})
    event = only(meter)
    assert event.properties["request_model"] == "gpt-image-1"
    assert event.properties["image_count"] == 1


def test_a_body_that_is_a_stream_is_left_alone(meter: TokenMeter) -> None:
    session, player = session_of(wire.chat())
    body = iter([json.dumps(ASK).encode()])
    session.post(URL, data=body)
    assert player.sent[0].body is body
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_other_hosts_are_passed_untouched(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat())
    response = session.get("https://example.com/data", stream=True)
    assert type(response.raw).__name__ == "HTTPResponse"
    assert not events_of(meter)


def test_a_prepared_request_sent_by_keyword_is_captured(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat())
    prepared = requests.Request("POST", URL, json=ASK).prepare()
    assert session.send(request=prepared, timeout=5).ok
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_body_that_is_any_file_is_read(meter: TokenMeter) -> None:
    class Plain(BaseAdapter):
        def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response.headers.update(wire.JSON)
            response.raw = io.BytesIO(wire.chat().chunks[0])
            return response

        def close(self) -> None:
            """Nothing is open."""

    session = requests.Session()
    session.mount("https://", Plain())
    with session.post(URL, json=ASK, stream=True) as response:
        assert not hasattr(response.raw, "stream")
        assert b"".join(response.iter_content(7)) == wire.chat().chunks[0]
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_raw_json_is_read(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat())
    with session.post(URL, json=ASK, stream=True) as response:
        assert response.raw.json()["usage"]["total_tokens"] == 11
        assert response.raw.data == response.raw.data
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


@pytest.mark.parametrize("name", ["x-amz-content-sha256", "authorization"])
def test_a_signed_body_is_sent_as_it_is(meter: TokenMeter, name: str) -> None:
    session, player = session_of(wire.chat_stream(usage=False))
    signature = {name: "AWS4-HMAC-SHA256 Credential=k"}
    response = session.post(URL, json=STREAM, headers=signature)
    assert response.content == SHOWN
    assert json.loads(player.sent[0].body) == STREAM
    assert only(meter).properties["usage_source"] == "missing"


def test_a_preview_stops_before_anything_is_sent(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    stopped = stopped_call(lambda: playing(player).post(URL, json=ASK), meter)
    assert stopped.call.request_model == "gpt-4o-mini"
    assert not player.sent
    assert not events_of(meter)
