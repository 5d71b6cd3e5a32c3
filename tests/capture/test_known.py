"""Requests and answers that are read by the few bytes around their text: as if parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import events_of
from tests.corpus import CORPUS, folder_names, load
from tokenmeter import TokenMeter
from tokenmeter.capture.known import AROUND_BYTES_MAX, KNOWN_MAX, KnownCalls
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import Call
from tokenmeter.providers.openai_skim import skim_chat

URL = "https://api.openai.com/v1/chat/completions"
HOST, PATH = "api.openai.com", "/v1/chat/completions"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
WHOLE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1795255200,
    "model": "gpt-4o-2024-08-06",
    "choices": [CHOICE],
    "usage": USAGE,
}


def described(body: bytes) -> Call:
    adapter = find(HOST, PATH)
    assert adapter is not None
    call = adapter.describe(Request("POST", HOST, PATH, body=json.loads(body)))
    assert call is not None
    return call


def asked(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


PROMPT = [{"role": "user", "content": 'Say "hi", or \\ and ],{"model":"gpt-4"}'}]
KNOWN = [
    asked(messages=PROMPT, model="gpt-4o"),
    asked(model="gpt-4o", messages=PROMPT),
    asked(model="gpt-4o", messages=PROMPT, service_tier="flex", temperature=0.5),
    asked(messages=PROMPT, model="gpt-4o", stream=False),
    json.dumps({"model": "gpt-4o", "messages": PROMPT}, indent=2).encode(),
]


@pytest.mark.parametrize("body", KNOWN)
def test_a_request_like_one_before_asks_for_the_same(body: bytes) -> None:
    known = KnownCalls()
    assert not known.may_find("POST", URL)
    known.learn("POST", URL, body, described(body))
    other = body.replace(b"hi", b"something else, with [ and { in it")
    assert known.may_find("POST", URL)
    assert known.find("POST", URL, other) == described(other)
    assert known.find("POST", URL, body.replace(b"gpt-4o", b"gpt-5")) is None
    assert known.find("GET", URL, body) is None


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"model": {"type": "x"}}}}
UNKNOWN = {
    "a field that counts, between two lists": asked(messages=PROMPT, model="gpt-4o", stop=["x"]),
    "a field of that name inside": asked(messages=PROMPT, tools=[TOOL], model="gpt-4o"),
    "a name with escapes": asked(messages=PROMPT, stop=["x"], model="gpt-4o").replace(
        b'"stop"', b'"\\u006dodel":"o3","stop"'
    ),
    "a text with a bracket outside": asked(user="a[b", model="gpt-4o", messages=PROMPT),
    "a text with a bracket behind": asked(messages=PROMPT, model="gpt-4o", user="a]b"),
    "an escape outside": asked(user='"', model="gpt-4o", messages=PROMPT),
    "no list at all": asked(model="gpt-4o", prompt="a text that must not be kept"),
    "much around": asked(user="u" * AROUND_BYTES_MAX, model="gpt-4o", messages=PROMPT),
}


@pytest.mark.parametrize("body", UNKNOWN.values(), ids=list(UNKNOWN))
def test_what_cannot_be_told_from_around_the_prompt_is_parsed(body: bytes) -> None:
    known = KnownCalls()
    known.learn("POST", URL, KNOWN[0], described(KNOWN[0]))
    known.learn("POST", URL, body, described(body))
    assert known.find("POST", URL, body) is None


def test_a_stream_that_is_asked_for_its_usage_is_described_each_time() -> None:
    known = KnownCalls()
    body = asked(messages=PROMPT, model="gpt-4o", stream=True)
    assert described(body).edited_body is not None
    known.learn("POST", URL, body, described(body))
    assert known.find("POST", URL, body) is None


def test_only_so_many_calls_are_remembered() -> None:
    known = KnownCalls()
    for number in range(KNOWN_MAX + 1):
        body = asked(messages=PROMPT, model=f"m{number}")
        known.learn("POST", URL, body, described(body))
    assert known.find("POST", URL, asked(messages=PROMPT, model="m0")) is None
    assert known.find("POST", URL, asked(messages=PROMPT, model=f"m{KNOWN_MAX}")) is not None


def test_the_second_of_two_calls_is_metered_as_the_first(meter: TokenMeter) -> None:
    client = Player([wire.chat()]).client()
    for text in ("Hello", "Hello [again] {there}"):
        body = {"model": "gpt-4", "messages": [{"role": "user", "content": text}]}
        client.post(URL, json=body)
    first, second = (dict(event.properties) for event in events_of(meter))
    for facts in (first, second):
        facts.pop("call_id")
        facts.pop("id_reused", None)
    assert first == second


@pytest.mark.parametrize("indent", [None, 2])
def test_a_plain_completion_is_skimmed(indent: int | None) -> None:
    body = json.dumps({**WHOLE, "service_tier": "flex", "system_fingerprint": "fp"}, indent=indent)
    found = skim_chat(body.encode())
    assert found is not None
    assert found["usage"] == USAGE
    assert (found["id"], found["service_tier"]) == ("chatcmpl-1", "flex")


NOT_SKIMMED: dict[str, dict[str, Any]] = {
    "two choices": {**WHOLE, "choices": [CHOICE, CHOICE]},
    "no choice": {**WHOLE, "choices": []},
    "an error in a choice": {**WHOLE, "choices": [{**CHOICE, "error": {"code": 502}}]},
    "no usage": {**WHOLE, "usage": None},
    "a usage that is a list": {**WHOLE, "usage": [1]},
    "an unknown field behind": {**WHOLE, "x_groq": {"usage": {"prompt_tokens": 1}}},
    "an error": {"error": {"message": "no", "type": "x"}},
    "a chunk": {**WHOLE, "object": "chat.completion.chunk"},
    "a model that is no text": {**WHOLE, "model": 5},
    "a long model": {**WHOLE, "model": "m" * 300},
    "a huge time": {**WHOLE, "created": 10**15},
}


@pytest.mark.parametrize("payload", NOT_SKIMMED.values(), ids=list(NOT_SKIMMED))
def test_an_answer_of_another_form_is_parsed(payload: dict[str, Any]) -> None:
    assert skim_chat(json.dumps(payload).encode()) is None


def test_an_answer_that_is_no_utf_8_is_parsed_and_flagged() -> None:
    body = json.dumps(WHOLE).encode()
    assert skim_chat(body.replace(b'"x"', b'"\xff"')) is None
    assert skim_chat(body.replace(b'"x"', '"é"'.encode())) is not None


@pytest.mark.parametrize(
    "text",
    [
        '"usage": {"prompt_tokens": 7}',
        '}],"usage":{"prompt_tokens":7,"completion_tokens":1}}',
        '\\"usage\\":{"prompt_tokens":7}}',
    ],
)
def test_a_usage_that_the_model_wrote_is_no_usage(text: str) -> None:
    message = {"role": "assistant", "content": text, "arguments": {"usage": {"prompt_tokens": 7}}}
    whole = {**WHOLE, "choices": [{**CHOICE, "message": message}]}
    found = skim_chat(json.dumps(whole).encode())
    assert found is not None
    assert found["usage"] == USAGE
    broken = {k: v for k, v in whole.items() if k != "usage"}
    assert skim_chat(json.dumps(broken).encode()) is None
    assert skim_chat(json.dumps(whole).encode()[:-1]) is None


def test_every_recorded_completion_is_skimmed_as_it_is_read() -> None:
    adapter = find(HOST, PATH)
    assert adapter is not None
    call = described(KNOWN[0])
    skimmed = 0
    for exchange in load(*folder_names()) if CORPUS.is_dir() else ():
        found = skim_chat(exchange.body)
        if found is not None:
            skimmed += 1
            assert call.api.read(found) == call.api.read(json.loads(exchange.body)), exchange.id
    if CORPUS.is_dir():
        assert skimmed


def test_an_answer_that_is_skimmed_still_reaches_the_user_as_it_came(meter: TokenMeter) -> None:
    body = json.dumps(WHOLE).encode()
    client = Player([Answer(200, wire.JSON, [body])]).client()
    given = client.post(URL, content=KNOWN[0], headers={"content-type": "application/json"})
    assert given.content == body
    (event,) = events_of(meter)
    assert (event.properties["input_tokens"], event.properties["output_count"]) == (9, 1)
