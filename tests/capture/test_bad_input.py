"""Whatever comes over the wire: the user's call is as without us, and the event says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types

from tests.capture import wire
from tests.capture.alike import (
    Alike,
    answer_of,
    streamed,
    streamed_through_openai,
    through_openai,
    whole,
)
from tests.capture.alike import alike as alike  # the fixture
from tests.capture.play import LIBRARIES, Answer, Player
from tokenmeter import Event, TokenMeter

DEEP = 100_000  # far beyond any recursion limit
NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "space": b" \n",
    "text": b"not json",
    "html": b"<html><body>502</body></html>",
    "cut": b'{"id": "chatcmpl-1", "usage": {"prompt_tok',
    "garbage after": b'{"usage": {"prompt_tokens": 5}} and more',
    "null": b"null",
    "number": b"12",
    "string": b'"usage"',
    "empty list": b"[]",
    "list of numbers": b"[1, 2]",
    "deep list": b"[" * DEEP,
    "deep closed list": b"[" * 400 + b"]" * 400,
    "deep object": b'{"a":' * DEEP,
    "digits": b'{"usage": {"prompt_tokens": ' + b"9" * 5_000 + b"}}",
    "invalid utf-8": b"\xff\xfe\xfa",
    "zeros": b"\x00" * 100,
}
# What may stand where a count should; None is as good as absent.
NO_COUNTS: list[Any] = [
    *(-1, 10**15, 1.5, float("nan"), float("inf"), -float("inf"), 1e300),
    *("9", "", "many", True, False, [], [9], {}, {"tokens": 9}),
]
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": []}


def body_of(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(b"".join(answer.chunks))
    return body


def only(events: list[Event]) -> dict[str, Any]:
    assert len(events) == 1
    return dict(events[0].properties)


def assert_missing(found: dict[str, Any]) -> None:
    assert (found["outcome"], found["usage_source"]) == ("success", "missing")
    assert not {"input_tokens", "output_tokens", "total_tokens"} & found.keys()


@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_handed_on_and_its_usage_is_missing(
    alike: Alike, body: bytes, library: Any
) -> None:
    for call in (whole, streamed):
        for content_type in ("application/json", "text/html", ""):
            found = only(alike(answer_of(body, content_type), call, library))
            assert_missing(found)
    said = only(alike(answer_of(body), whole, library)).get("flags")
    assert said == (None if body.strip() in (b"", b"[]") else "not_json")


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_the_sdk_does_with_such_a_body_what_it_does_without_us(alike: Alike, body: bytes) -> None:
    for call in (through_openai, streamed_through_openai):
        for content_type in ("application/json", "text/event-stream", "text/plain"):
            events = alike(answer_of(body, content_type), call)
            assert_missing(only(events))


@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_openai_usage_that_is_no_count_is_left_out_and_flagged(alike: Alike, count: Any) -> None:
    body = body_of(wire.chat())
    body["usage"]["prompt_tokens"] = count
    for call in (whole, through_openai):
        found = only(alike(answer_of(json.dumps(body).encode()), call))
        assert "input_tokens" not in found
        assert "invalid:prompt_tokens" in found["flags"]
        assert (found["output_tokens"], found["usage_source"]) == (2, "reported")


@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_usage_in_which_nothing_is_a_count_is_missing_not_zero(alike: Alike, count: Any) -> None:
    body = body_of(wire.chat())
    body["usage"] = dict.fromkeys(body["usage"], count)
    assert_missing(only(alike(answer_of(json.dumps(body).encode()), whole)))
    chunks = wire.chat_stream().chunks
    last = json.loads(chunks[-2].removeprefix(b"data: "))
    last["usage"] = dict.fromkeys(last["usage"], count)
    junk = b"".join([*chunks[:-2], *wire.sse(last), chunks[-1]])
    assert_missing(only(alike(answer_of(junk, "text/event-stream"), streamed)))


@pytest.mark.parametrize("usage", [5, "x", True, [], [1], {}, None, {"prompt_tokens": None}])
def test_usage_that_is_no_object_of_counts_is_missing(alike: Alike, usage: Any) -> None:
    body = {**body_of(wire.chat()), "usage": usage}
    for call in (whole, through_openai):
        assert_missing(only(alike(answer_of(json.dumps(body).encode()), call)))


def ask_claude(client: Any) -> Any:
    made = anthropic.Anthropic(api_key="k", http_client=client, max_retries=0)
    return repr(made.messages.create(**MESSAGE))


UNUSED = Player([]).async_client()  # making one of its own takes genai 20 ms


def ask_gemini(client: Any) -> Any:
    options = types.HttpOptions(httpx_client=client, httpx_async_client=UNUSED)
    made = genai.Client(api_key="k", http_options=options)
    return repr(made.models.generate_content(model="gemini-2.5-flash", contents="Hi").candidates)


@pytest.mark.parametrize("count", [*NO_COUNTS, None], ids=repr)
def test_a_claude_message_with_a_count_that_is_none_has_no_total(alike: Alike, count: Any) -> None:
    body = body_of(wire.message())
    body["usage"]["cache_read_input_tokens"] = count
    found = only(alike(answer_of(json.dumps(body).encode()), ask_claude))
    assert "cache_read_tokens" not in found
    if count is None:  # said to be nothing: the rest is the whole
        assert found["input_tokens"] == 10
        return
    assert "input_tokens" not in found, "10 would leave out what was cached"
    assert "invalid:cache_read_input_tokens" in found["flags"]
    assert found["output_tokens"] == 5


@pytest.mark.parametrize("count", NO_COUNTS, ids=repr)
def test_a_gemini_count_that_is_none_is_left_out_and_flagged(alike: Alike, count: Any) -> None:
    body = body_of(wire.gemini())
    body["usageMetadata"]["promptTokenCount"] = count
    found = only(alike(answer_of(json.dumps(body).encode()), ask_gemini))
    assert "input_tokens" not in found
    assert "promptTokenCount" in found["flags"]


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("call", [ask_claude, ask_gemini])
def test_other_sdks_too_do_with_such_a_body_what_they_do_without_us(
    alike: Alike, call: Callable[[Any], Any], body: bytes
) -> None:
    assert_missing(only(alike(answer_of(body), call)))


def test_an_unknown_model_and_unknown_fields_are_kept_flagged_and_unpriced(
    meter: TokenMeter,
) -> None:
    body = body_of(wire.chat(model="gpt-99-nobody-knows"))
    body["usage"].update(neural_tokens=7, prompt_tokens_details={"smell_tokens": 3})
    body["something"] = {"else": [1, {"usage": {"prompt_tokens": 1}}]}
    http = Player([answer_of(json.dumps(body).encode())]).client()
    client = openai.OpenAI(api_key="k", http_client=http)
    client.chat.completions.create(model="gpt-99", messages=[])
    assert meter.flush(30)
    found = only(meter.backend.events)
    assert (found["model"], found["input_tokens"]) == ("gpt-99-nobody-knows", 9)
    assert found["flags"] == "unknown:neural_tokens,unknown:smell_tokens"
    assert "cost_usd" not in found
    assert found["cost_source"] == "unpriced"


@pytest.mark.parametrize("text", ["gpt\x00four", "\ud800", "x" * 5_000, "\n", "a\u202eb"])
def test_a_model_no_database_would_take_is_cut_and_flagged(alike: Alike, text: str) -> None:
    body = {**body_of(wire.chat()), "model": text, "id": text, "service_tier": text}
    found = only(alike(answer_of(json.dumps(body).encode()), whole))
    assert len(found["model"]) <= 256
    assert found["flags"] == "invalid:text"
    assert found["input_tokens"] == 9


def test_invalid_utf_8_in_a_text_does_not_hide_the_usage_beside_it(alike: Alike) -> None:
    body = b"".join(wire.chat().chunks).replace(b'"Hi"', b'"H\xff\xe2\x82"')
    found = only(alike(answer_of(body), through_openai))
    assert (found["input_tokens"], found["flags"]) == (9, "not_utf8")
    stream = b"".join(wire.chat_stream().chunks).replace(b'"choices": []', b'"x": "\xff"')
    found = only(alike(answer_of(stream, "text/event-stream"), streamed))
    assert (found["input_tokens"], found["flags"]) == (9, "not_utf8")


@pytest.mark.parametrize("call", [whole, through_openai])
def test_an_answer_without_a_content_type_is_read(alike: Alike, call: Any) -> None:
    body = b"".join(wire.chat().chunks)
    assert only(alike(answer_of(body, ""), call))["input_tokens"] == 9


@pytest.mark.parametrize("call", [streamed, streamed_through_openai])
def test_a_stream_without_a_content_type_is_read(alike: Alike, call: Any) -> None:
    body = b"".join(wire.chat_stream().chunks)
    assert only(alike(answer_of(body, ""), call))["input_tokens"] == 9


@pytest.mark.parametrize("length", ["0", "5", "99999999", "-1", "many"])
def test_a_wrong_content_length_changes_nothing(alike: Alike, length: str) -> None:
    for answer, call in ((wire.chat(), whole), (wire.chat_stream(), streamed)):
        headers = {**answer.headers, "content-length": length}
        played = alike(Answer(200, headers, answer.chunks), call)
        assert only(played)["input_tokens"] == 9


@pytest.mark.parametrize("kept", range(0, 100, 9))
def test_a_stream_cut_short_is_handed_on_and_says_what_is_missing(alike: Alike, kept: int) -> None:
    whole_stream = b"".join(wire.chat_stream().chunks)
    cut = whole_stream[: len(whole_stream) * kept // 100]
    for call in (streamed, streamed_through_openai):
        found = only(alike(answer_of(cut, "text/event-stream"), call))
        assert found["usage_source"] in {"missing", "reported"}
        if found["usage_source"] == "missing":
            assert_missing(found)
            assert "cut_short" in found.get("flags", "cut_short" if not kept else "")


PNG = "A" * 10_000_000


def picture(client: Any) -> Any:
    made = openai.OpenAI(api_key="k", http_client=client, max_retries=0)
    answer = made.images.generate(model="gpt-image-1", prompt="a lamp")
    assert answer.data is not None
    return len(answer.data[0].b64_json or "")


def picture_stream(client: Any) -> Any:
    made = openai.OpenAI(api_key="k", http_client=client, max_retries=0)
    events = made.images.generate(model="gpt-image-1", prompt="a lamp", stream=True)
    return [(event.type, len(event.b64_json)) for event in events]


def test_an_image_of_ten_megabytes_is_counted_with_its_usage(alike: Alike) -> None:
    body = body_of(wire.image())
    body["data"] = [{"b64_json": PNG}]
    done = {"type": "image_generation.completed", **copy.deepcopy(body), "b64_json": PNG}
    partial = {"type": "image_generation.partial_image", "b64_json": PNG}
    sent = json.dumps(body).encode()
    events = b"".join(wire.named_sse(partial, done))
    for size in (5_000, len(events)):
        chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
        parts = [events[at : at + size] for at in range(0, len(events), size)]
        for answer, call in (
            (Answer(200, dict(wire.JSON), chunks), picture),
            (Answer(200, dict(wire.SSE), parts), picture_stream),
        ):
            found = only(alike(answer, call))
            assert (found["image_count"], found["output_tokens"]) == (1, 4160)
            assert found["usage_source"] == "reported"
            assert "flags" not in found


def test_a_request_that_is_no_json_is_metered_without_its_model(alike: Alike) -> None:
    for content in (b"", b"{", b"[1]", b"\xff", b"[" * DEEP, b'{"model": 5, "stream": "x"}'):

        def send(client: httpx2.Client, content: bytes = content) -> Any:
            url = "https://api.openai.com/v1/chat/completions"
            return client.post(url, content=content).content

        found = only(alike(wire.chat(), send))
        assert found["input_tokens"] == 9
        assert "request_model" not in found


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_an_async_client_gets_junk_as_without_us(meter: TokenMeter, body: bytes) -> None:
    for content_type in ("application/json", "text/event-stream"):
        http = Player([answer_of(body, content_type)]).async_client()
        client = openai.AsyncOpenAI(api_key="k", http_client=http)
        with meter.run() as run:
            raw = await client.post("/chat/completions", cast_to=httpx2.Response, body={})
        assert raw.content == body
        assert_missing(only(run.events))
