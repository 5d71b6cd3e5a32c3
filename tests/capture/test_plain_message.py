"""Anthropic's usual message, read at once: as the long way reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.test_known import as_read, asked, long_way
from tests.corpus import CORPUS, folder_names, load
from tokenmeter import TokenMeter
from tokenmeter.providers import Request, find
from tokenmeter.providers.anthropic_plain import asked_message
from tokenmeter.providers.anthropic_plain import plain_message as read_message
from tokenmeter.providers.base import Plain

__all__ = ["long_way"]  # a fixture

URL = "https://api.anthropic.com/v1/messages"
ASKED = asked(model="claude-sonnet-4-5", max_tokens=9, messages=[], service_tier="auto")
USAGE: dict[str, Any] = {
    "input_tokens": 24,
    "output_tokens": 9,
    "cache_read_input_tokens": 2714,
    "cache_creation_input_tokens": 1236,
    "cache_creation": {"ephemeral_5m_input_tokens": 1200, "ephemeral_1h_input_tokens": 36},
    "service_tier": "standard",
}
WHOLE: dict[str, Any] = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": 'a "usage": {"input_tokens": 7}'}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}


def plain_message(body: bytes) -> Plain | None:
    adapter = find("api.anthropic.com", "/v1/messages")
    assert adapter is not None
    call = adapter.describe(
        Request("POST", "api.anthropic.com", "/v1/messages", body=json.loads(ASKED))
    )
    assert call is not None
    return read_message(body, call)


def test_the_total_includes_what_was_read_from_the_cache_and_written_to_it() -> None:
    found = plain_message(json.dumps(WHOLE).encode())
    assert found is not None
    assert found.numbers["input_tokens"] == 24 + 2714 + 1236
    assert found.numbers["total_tokens"] == found.numbers["input_tokens"] + 9
    assert found.dimensions == {"service_tier": "standard"}


NOT_PLAIN: dict[str, dict[str, Any]] = {
    "an error": {"type": "error", "error": {"type": "overloaded_error"}},
    "a refusal": {**WHOLE, "stop_reason": "refusal"},
    "a fallback": {**WHOLE, "content": [{"type": "fallback", "to": {"model": "m"}}]},
    "code that ran": {**WHOLE, "container": {"id": "c"}},
    "no usage": {**WHOLE, "usage": None},
    "iterations": {**WHOLE, "usage": {**USAGE, "iterations": []}},
    "an unknown count": {**WHOLE, "usage": {**USAGE, "new_tokens": 5}},
    "a split that is short": {**WHOLE, "usage": {**USAGE, "cache_creation_input_tokens": 1300}},
    "a split that is more": {**WHOLE, "usage": {**USAGE, "cache_creation_input_tokens": 1000}},
    "a split of nothing": {**WHOLE, "usage": {**USAGE, "cache_creation_input_tokens": None}},
    "a tier without a name": {**WHOLE, "usage": {**USAGE, "service_tier": ""}},
    "a count that is no number": {**WHOLE, "usage": {**USAGE, "input_tokens": "24"}},
    "a model of several lines": {**WHOLE, "model": "claude\n4"},
    "a long id": {**WHOLE, "id": "m" * 300},
    "no id": {k: v for k, v in WHOLE.items() if k != "id"},
}


@pytest.mark.parametrize("payload", NOT_PLAIN.values(), ids=list(NOT_PLAIN))
def test_an_answer_of_another_form_is_read_the_long_way(payload: dict[str, Any]) -> None:
    assert plain_message(json.dumps(payload).encode()) is None


def test_an_answer_that_is_no_utf_8_is_read_the_long_way() -> None:
    body = json.dumps(WHOLE).encode()
    assert plain_message(body.replace(b"end_turn", b"end\xffturn")) is None
    assert plain_message(body.replace(b"a \\", "é \\".encode())) is not None


@pytest.mark.parametrize(
    "body", [b"{", asked(model="m", stream="x"), asked(model=5), asked(model="m", speed=1)]
)
def test_an_unusual_request_has_no_key(body: bytes) -> None:
    assert asked_message(body) is None


COUNTS = st.integers(min_value=0, max_value=99) | st.none()
ANSWERS = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "id": st.sampled_from(["msg_01", "msg_02", ""]),
        "model": st.sampled_from(["claude-sonnet-4-5-20250929", "m\n"]),
        "content": st.lists(st.sampled_from([{"type": "text"}, {"type": "fallback"}, 5])),
        "stop_reason": st.sampled_from(["end_turn", None, "refusal", "max_tokens"]),
        "usage": st.fixed_dictionaries(
            {"input_tokens": COUNTS, "output_tokens": COUNTS},
            optional={
                "cache_read_input_tokens": COUNTS,
                "cache_creation_input_tokens": COUNTS,
                "cache_creation": st.fixed_dictionaries(
                    {"ephemeral_5m_input_tokens": COUNTS, "ephemeral_1h_input_tokens": COUNTS}
                )
                | st.none(),
                "server_tool_use": st.fixed_dictionaries(
                    {}, optional={"web_search_requests": COUNTS, "web_fetch_requests": COUNTS}
                )
                | st.none(),
                "output_tokens_details": st.fixed_dictionaries({"thinking_tokens": COUNTS}),
                "service_tier": st.sampled_from(["standard", None, "", "priority"]),
                "inference_geo": st.sampled_from(["us", "not_available", None]),
            },
        ),
    }
)


@given(payload=ANSWERS)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_read_at_once_is_what_the_long_way_reads(
    meter: TokenMeter, long_way: Callable[[bool], None], payload: dict[str, Any]
) -> None:
    body = json.dumps(payload).encode()
    long_way(True)
    expected = as_read(meter, body, url=URL, asked=ASKED)
    long_way(False)
    assert as_read(meter, body, url=URL, asked=ASKED) == expected


def test_every_recorded_message_is_read_as_the_long_way_reads_it(
    meter: TokenMeter, long_way: Callable[[bool], None]
) -> None:
    read = 0
    for exchange in load(*folder_names()) if CORPUS.is_dir() else ():
        if plain_message(exchange.body) is None:
            continue
        read += 1
        long_way(True)
        expected = as_read(meter, exchange.body, url=URL, asked=ASKED)
        long_way(False)
        assert as_read(meter, exchange.body, url=URL, asked=ASKED) == expected, exchange.id
    if CORPUS.is_dir():
        assert read
