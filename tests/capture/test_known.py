"""Requests and answers that are read by the few fields that count: as if parsed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import events_of
from tests.corpus import CORPUS, folder_names, load
from tokenmeter import TokenMeter
from tokenmeter.capture import exchange as exchanges
from tokenmeter.capture.known import BODY_BYTES_MAX, KNOWN_MAX, KnownCalls
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import TEXT_CHARS_MAX, Call, Plain
from tokenmeter.providers.openai_plain import plain_chat as read_chat

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


def found_in(known: KnownCalls, body: bytes) -> Call | None:
    asks = known.to("POST", URL)
    return None if asks is None else asks.find(body, edits=True)


PROMPT = [{"role": "user", "content": 'Say "hi", or \\ and ],{"model":"gpt-4"}'}]
KNOWN = [
    asked(messages=PROMPT, model="gpt-4o"),
    asked(model="gpt-4o", messages=PROMPT),
    asked(model="gpt-4o", messages=PROMPT, service_tier="flex", temperature=0.5),
    asked(messages=PROMPT, model="gpt-4o", stream=False),
    asked(messages=PROMPT, stop=["x"], model="gpt-4o", user="a]b"),
    json.dumps({"model": "gpt-4o", "messages": PROMPT}, indent=2).encode(),
    asked(messages=PROMPT, model="gpt-4o").replace(b'"model"', b'"\\u006dodel"'),
    asked(messages=PROMPT, model="o3").replace(b'"o3"', b'"o3","model":"gpt-4o"'),
]


@pytest.mark.parametrize("body", KNOWN)
def test_a_request_like_one_before_asks_for_the_same(body: bytes) -> None:
    known = KnownCalls()
    assert known.to("POST", URL) is None
    known.learn("POST", URL, body, described(body))
    other = body.replace(b"hi", b"something else, with [ and { in it")
    assert found_in(known, other) == described(other)
    assert found_in(known, body.replace(b"gpt-4o", b"gpt-5")) is None
    assert known.to("GET", URL) is None


UNKNOWN = {
    "options that are none": asked(model="gpt-4o", stream=True, stream_options="x"),
    "data of Azure's": asked(model="gpt-4o", stream=True, data_sources=None),
    "a stream that is no boolean": asked(messages=PROMPT, model="gpt-4o", stream="true"),
    "a model that is no text": asked(messages=PROMPT, model=["gpt-4o"]),
    "a model without a name": asked(messages=PROMPT, model=""),
    "a long name": asked(messages=PROMPT, model="m" * (TEXT_CHARS_MAX + 1)),
    "a tier that is no text": asked(messages=PROMPT, model="gpt-4o", service_tier=1),
    "no JSON": b'{"model":"gpt-4o",',
    "no object": b'["gpt-4o"]',
    "a long body": asked(messages="x" * BODY_BYTES_MAX, model="gpt-4o"),
    "a deep body": b'{"model":"gpt-4o","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", UNKNOWN.values(), ids=list(UNKNOWN))
def test_what_is_unusual_is_described_each_time(body: bytes) -> None:
    known = KnownCalls()
    known.learn("POST", URL, KNOWN[0], described(KNOWN[0]))
    known.learn("POST", URL, body, described(KNOWN[0]))
    assert found_in(known, body) is None


def test_a_stream_that_reports_its_usage_is_known() -> None:
    known = KnownCalls()
    body = asked(
        messages=PROMPT, model="gpt-4o", stream=True, stream_options={"include_usage": True}
    )
    known.learn("POST", URL, body, described(body))
    found = found_in(known, body)
    assert found is not None
    assert found == described(body)
    assert found.streamed


def test_a_stream_that_has_to_be_asked_for_its_usage_is_known_where_it_cannot_be() -> None:
    known = KnownCalls()
    body = asked(messages=PROMPT, model="gpt-4o", stream=True)
    call = described(body)
    assert call.edited_body is not None
    known.learn("POST", URL, body, call)
    assert found_in(known, body) is None
    asks = known.to("POST", URL)
    assert asks is not None
    assert asks.find(body, edits=False) == replace(call, edited_body=None)


def test_each_stream_is_asked_for_its_usage_whatever_came_before(meter: TokenMeter) -> None:
    player = Player([wire.chat_stream()])
    client, body = player.client(), {"model": "gpt-4o", "messages": PROMPT, "stream": True}
    for headers in ({"digest": "sha-256=x"}, {}, {"digest": "sha-256=x"}, {}):
        client.post(URL, json=body, headers=headers)
    asks = [b"include_usage" in request.content for request in player.sent]
    assert asks == [False, True, False, True]
    assert len(events_of(meter)) == 4


def test_a_request_that_cannot_be_read_teaches_nothing(meter: TokenMeter) -> None:
    client = Player([wire.chat()]).client()
    for body in (KNOWN[0].replace(b"hi", b"\xff"), KNOWN[0]):
        client.post(URL, content=body, headers={"content-type": "application/json"})
    _, second = events_of(meter)
    assert second.properties["request_model"] == "gpt-4o"


def test_only_so_many_calls_are_remembered() -> None:
    known = KnownCalls()
    for number in range(KNOWN_MAX + 1):
        body = asked(messages=PROMPT, model=f"m{number}")
        known.learn("POST", URL, body, described(body))
    assert found_in(known, asked(messages=PROMPT, model="m0")) is None
    assert found_in(known, asked(messages=PROMPT, model=f"m{KNOWN_MAX}")) is not None


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


def plain_chat(body: bytes) -> Plain | None:
    return read_chat(body, described(KNOWN[0]))


NOT_PLAIN: dict[str, dict[str, Any]] = {
    "no choice": {**WHOLE, "choices": []},
    "an error in a choice": {**WHOLE, "choices": [{**CHOICE, "error": {"code": 502}}]},
    "a choice that is no object": {**WHOLE, "choices": [CHOICE, 5]},
    "no usage": {**WHOLE, "usage": None},
    "a usage that is a list": {**WHOLE, "usage": [1]},
    "an unknown count": {**WHOLE, "usage": {**USAGE, "new_tokens": 5}},
    "a tier within the usage": {**WHOLE, "usage": {**USAGE, "service_tier": "batch"}},
    "a count that is no number": {**WHOLE, "usage": {**USAGE, "prompt_tokens": "9"}},
    "a flag for a count": {**WHOLE, "usage": {**USAGE, "prompt_tokens": True}},
    "a negative count": {**WHOLE, "usage": {**USAGE, "prompt_tokens": -9}},
    "a huge count": {**WHOLE, "usage": {**USAGE, "prompt_tokens": 10**13}},
    "a total that is another": {**WHOLE, "usage": {**USAGE, "total_tokens": 14}},
    "more cached than asked": {
        **WHOLE,
        "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 10}},
    },
    "more reasoning than output": {
        **WHOLE,
        "usage": {**USAGE, "completion_tokens_details": {"reasoning_tokens": 5}},
    },
    "details that nobody knows": {
        **WHOLE,
        "usage": {**USAGE, "prompt_tokens_details": {"smell_tokens": 1}},
    },
    "an error": {**WHOLE, "error": {"message": "no", "type": "x"}},
    "a chunk": {**WHOLE, "object": "chat.completion.chunk"},
    "a model that is no text": {**WHOLE, "model": 5},
    "a long model": {**WHOLE, "model": "m" * (TEXT_CHARS_MAX + 1)},
    "a model of several lines": {**WHOLE, "model": "gpt\n4"},
    "no id": {k: v for k, v in WHOLE.items() if k != "id"},
    "a time that is no number": {**WHOLE, "created": "now"},
    "a huge time": {**WHOLE, "created": 10**15},
}


@pytest.mark.parametrize("payload", NOT_PLAIN.values(), ids=list(NOT_PLAIN))
def test_an_answer_of_another_form_is_read_the_long_way(payload: dict[str, Any]) -> None:
    assert plain_chat(json.dumps(WHOLE).encode()) is not None
    assert plain_chat(json.dumps(payload).encode()) is None


def test_an_answer_that_is_no_utf_8_is_read_the_long_way_and_flagged() -> None:
    body = json.dumps(WHOLE).encode()
    assert plain_chat(body.replace(b'"x"', b'"\xff"')) is None
    assert plain_chat(body.replace(b'"x"', '"é"'.encode())) is not None


def test_a_usage_that_the_model_wrote_is_no_usage() -> None:
    text = '}],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}'
    message = {"role": "assistant", "content": text, "arguments": {"usage": {"prompt_tokens": 7}}}
    whole = {**WHOLE, "choices": [{**CHOICE, "message": message}]}
    found = plain_chat(json.dumps(whole).encode())
    assert found is not None
    assert (found.numbers["input_tokens"], found.numbers["output_tokens"]) == (9, 4)
    assert (
        plain_chat(json.dumps({k: v for k, v in whole.items() if k != "usage"}).encode()) is None
    )
    assert plain_chat(json.dumps(whole).encode()[:-1]) is None


def test_a_detail_that_is_null_is_not_reported() -> None:
    details = {"cached_tokens": None, "audio_tokens": 0}
    whole = {**WHOLE, "usage": {**USAGE, "prompt_tokens_details": details}}
    found = plain_chat(json.dumps(whole).encode())
    assert found is not None
    assert "cache_read_tokens" not in found.numbers
    assert found.numbers["input_audio_tokens"] == 0


COUNTS = st.integers(min_value=0, max_value=2_000)
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "audio_tokens", "reasoning_tokens", "text_tokens", "odd"]),
    COUNTS | st.none() | st.just("5") | st.just(value=True),
)
ANSWERS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["chatcmpl-1", "", "c\u00e9"]),
        "object": st.sampled_from(["chat.completion", "chat.completion", "chat"]),
        "created": st.sampled_from([int(time.time()), int(time.time()) - 200_000, 1.5]),
        "model": st.sampled_from(["gpt-4o-2024-08-06", "ft:gpt-4o:me", "m\n"]),
        "choices": st.lists(st.just(CHOICE), max_size=3),
        "usage": st.fixed_dictionaries(
            {"prompt_tokens": COUNTS, "completion_tokens": COUNTS},
            optional={
                "prompt_tokens_details": DETAILS | st.none(),
                "completion_tokens_details": DETAILS | st.none(),
                "total_tokens": COUNTS,
            },
        ),
    },
    optional={"service_tier": st.sampled_from(["default", "flex", None, "", 3])},
)


def as_read(
    meter: TokenMeter, body: bytes, *, url: str = URL, asked: bytes = KNOWN[2]
) -> dict[str, Any]:
    """Play one answer; return its event, without what differs from call to call."""
    client = Player([Answer(200, wire.JSON, [body])]).client()
    with meter.attribute("acme", "chat", tags={"team": "a"}), meter.run("run-1"):
        client.post(url, content=asked, headers={"content-type": "application/json"})
    event = events_of(meter)[-1]
    facts = dict(event.properties)
    facts.pop("call_id")
    facts.pop("id_reused", None)
    return {"name": event.event_name, "whose": event.external_customer_id, **facts}


def _never(*_: object) -> bool:
    return False


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether answers are read the long way from now on."""
    short = exchanges.Exchange._plain

    def choose(wanted: bool) -> None:
        way = _never if wanted else short
        monkeypatch.setattr(exchanges.Exchange, "_plain", way)

    return choose


@given(payload=ANSWERS)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_read_at_once_is_what_the_long_way_reads(
    meter: TokenMeter, long_way: Callable[[bool], None], payload: dict[str, Any]
) -> None:
    payload["usage"].setdefault(
        "total_tokens", payload["usage"]["prompt_tokens"] + payload["usage"]["completion_tokens"]
    )
    body = json.dumps(payload).encode()
    long_way(True)
    expected = as_read(meter, body)
    long_way(False)
    assert as_read(meter, body) == expected


def test_every_recorded_completion_is_read_as_the_long_way_reads_it(
    meter: TokenMeter, long_way: Callable[[bool], None]
) -> None:
    read = 0
    for exchange in load(*folder_names()) if CORPUS.is_dir() else ():
        if plain_chat(exchange.body) is None:
            continue
        read += 1
        long_way(True)
        expected = as_read(meter, exchange.body)
        long_way(False)
        assert as_read(meter, exchange.body) == expected, exchange.id
    if CORPUS.is_dir():
        assert read


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_plain_answer_reaches_the_user_as_it_came(meter: TokenMeter, chunks: int) -> None:
    body = json.dumps({**WHOLE, "created": int(time.time())}).encode()
    size = -(-len(body) // chunks)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    client = Player([Answer(200, wire.JSON, pieces)]).client()
    with client.stream("POST", URL, content=KNOWN[0]) as given:
        assert b"".join(given.iter_raw()) == body
    (event,) = events_of(meter)
    assert (event.properties["input_tokens"], event.properties["output_count"]) == (9, 1)
