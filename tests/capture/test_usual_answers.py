"""Whole answers read without their texts and vectors: as the long way reads them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_known import as_read, asked, long_way
from tests.capture.test_openai_lifecycle import events_of
from tests.corpus import CORPUS, folder_names, load
from tokenmeter import TokenMeter
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import Call, Plain

__all__ = ["long_way"]  # a fixture

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
VERTEX = (
    "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
    "/publishers/google/models/gemini-2.5-flash:generateContent"
)
RESPONSES = "https://api.openai.com/v1/responses"
EMBEDDINGS = "https://api.openai.com/v1/embeddings"
TOOLS_UNUSED = {
    "image_gen": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    "web_search": {"num_requests": 0},
}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": '"usage":{"x":1}'}]}
RESPONSE: dict[str, Any] = {
    "id": "resp_0123456789abcdef0123456789abcdef",
    "object": "response",
    "created_at": 1795255200,
    "status": "completed",
    "background": False,
    "error": None,
    "model": "gpt-5-mini-2025-08-07",
    "output": [{"type": "reasoning", "summary": []}, MESSAGE],
    "service_tier": "default",
    "tool_usage": TOOLS_UNUSED,
    "usage": {
        "input_tokens": 36,
        "input_tokens_details": {"cached_tokens": 12},
        "output_tokens": 87,
        "output_tokens_details": {"reasoning_tokens": 64},
        "total_tokens": 123,
    },
}
EMBEDDED: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -2e-3]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
SAID: dict[str, Any] = {"parts": [{"text": "x", "thoughtSignature": "y"}], "role": "model"}
GENERATED: dict[str, Any] = {
    "candidates": [{"content": SAID, "finishReason": "STOP", "index": 0, "avgLogprobs": -0.1}],
    "usageMetadata": {
        "promptTokenCount": 272,
        "candidatesTokenCount": 108,
        "thoughtsTokenCount": 168,
        "totalTokenCount": 548,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 272}],
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "abc",
}


@dataclass(frozen=True)
class Kind:
    """A request, its usual answer, and answers of which more must be said."""

    url: str
    body: bytes
    usual: dict[str, Any]
    unusual: dict[str, dict[str, Any]]


def _generated(**usage: Any) -> dict[str, Any]:
    return {**GENERATED, "usageMetadata": {**GENERATED["usageMetadata"], **usage}}


def _saying(*parts: Any, **more: Any) -> dict[str, Any]:
    return {**GENERATED, "candidates": [{"content": {"parts": list(parts)}, **more}]}


KINDS = {
    "a response": Kind(
        RESPONSES,
        asked(model="gpt-5-mini", input="Hello", service_tier="auto"),
        RESPONSE,
        {
            "one under way": {**RESPONSE, "status": "in_progress", "background": True},
            "one that failed": {**RESPONSE, "status": "failed", "error": {"code": "server_error"}},
            "an error beside usage": {**RESPONSE, "error": {"code": "server_error"}},
            "an image": {**RESPONSE, "output": [{"type": "image_generation_call", "result": "x"}]},
            "an item that is no object": {**RESPONSE, "output": [5]},
            "no output": {k: v for k, v in RESPONSE.items() if k != "output"},
            "an event": {"type": "response.completed", "response": RESPONSE},
            "a tool that drew": {**RESPONSE, "tool_usage": {"image_gen": {"output_tokens": 9}}},
            "no usage": {**RESPONSE, "usage": None},
            "an unknown count": {**RESPONSE, "usage": {**RESPONSE["usage"], "new_tokens": 3}},
            "a wrong total": {**RESPONSE, "usage": {**RESPONSE["usage"], "total_tokens": 3}},
            "a model of two lines": {**RESPONSE, "model": "gpt\n5"},
            "a long tier": {**RESPONSE, "service_tier": "t" * 300},
            "no model": {**RESPONSE, "model": None},
        },
    ),
    "vectors": Kind(
        EMBEDDINGS,
        asked(model="text-embedding-3-small", input="Hello"),
        EMBEDDED,
        {
            "an error": {**EMBEDDED, "error": {"code": 5}},
            "no usage": {k: v for k, v in EMBEDDED.items() if k != "usage"},
            "a wrong total": {**EMBEDDED, "usage": {"prompt_tokens": 8, "total_tokens": 9}},
            "text for a count": {**EMBEDDED, "usage": {"prompt_tokens": "8"}},
        },
    ),
    "Gemini's text": Kind(
        GEMINI,
        asked(contents=[{"parts": [{"text": "Hello"}]}], generationConfig={"temperature": 0.5}),
        GENERATED,
        {
            "an image": _saying({"inlineData": {"mimeType": "image/png", "data": "x"}}),
            "a file": _saying({"fileData": {"mimeType": "image/png", "fileUri": "x"}}),
            "a search": _saying({"text": "x"}, groundingMetadata={"webSearchQueries": ["a"]}),
            "a part that is no object": _saying("x"),
            "an error": {**GENERATED, "error": {"status": "INTERNAL"}},
            "an unknown count": _generated(smellTokenCount=4),
            "a wrong total": _generated(totalTokenCount=4),
            "no usage": {k: v for k, v in GENERATED.items() if k != "usageMetadata"},
            "no candidates": {k: v for k, v in GENERATED.items() if k != "candidates"},
            "no model": {k: v for k, v in GENERATED.items() if k != "modelVersion"},
        },
    ),
}
of_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def call_of(url: str, body: bytes) -> Call | None:
    place = urlsplit(url)
    adapter = find(place.netloc, place.path)
    if adapter is None:
        return None
    return adapter.describe(
        Request("POST", place.netloc, place.path, place.query, body=json.loads(body))
    )


def plain(url: str, asked: bytes, answer: bytes) -> Plain | None:
    """What is read at once of an answer; None if it must go the long way."""
    try:
        call = call_of(url, asked)
    except ValueError:  # a form, not JSON
        return None
    read = None if call is None else call.api.plain
    return None if call is None or read is None else read(answer, call)


@of_kind
def test_a_usual_answer_is_read_at_once_as_the_long_way_reads_it(
    meter: TokenMeter, long_way: Callable[[bool], None], kind: Kind
) -> None:
    body = json.dumps(kind.usual).encode()
    assert plain(kind.url, kind.body, body) is not None
    long_way(True)
    expected = as_read(meter, body, url=kind.url, asked=kind.body)
    assert expected["usage_source"] == "reported"
    long_way(False)
    for _ in range(2):  # described anew, and known
        assert as_read(meter, body, url=kind.url, asked=kind.body) == expected


UNUSUAL = [
    pytest.param(kind, payload, id=f"{name}: {what}")
    for name, kind in KINDS.items()
    for what, payload in kind.unusual.items()
]


@pytest.mark.parametrize(("kind", "payload"), UNUSUAL)
def test_what_says_more_goes_the_long_way(kind: Kind, payload: dict[str, Any]) -> None:
    assert plain(kind.url, kind.body, json.dumps(payload).encode()) is None


@of_kind
def test_a_damaged_answer_goes_the_long_way(kind: Kind) -> None:
    body = json.dumps(kind.usual).encode()
    no_utf_8 = body.replace(b"a", b"\xff", 1)
    for broken in (body[:-1], body + b"}", no_utf_8, body.replace(b",", b"", 1)):
        assert plain(kind.url, kind.body, broken) is None


COUNTS = st.integers(0, 500) | st.sampled_from([None, "5", -1, 2.0, True, 10**13])
MODALITIES = st.lists(
    st.fixed_dictionaries(
        {}, optional={"modality": st.sampled_from(["TEXT", "IMAGE", "X", 5]), "tokenCount": COUNTS}
    ),
    max_size=2,
)
NAMES = st.sampled_from(["m", "", None, 5, "a\nb", "n" * 300])


def _details(*names: str) -> st.SearchStrategy[Any]:
    return st.none() | st.dictionaries(st.sampled_from(names), COUNTS, max_size=2)


RESPONSE_USAGE = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS},
    optional={
        "total_tokens": COUNTS,
        "input_tokens_details": _details("cached_tokens", "audio_tokens", "odd"),
        "output_tokens_details": _details("reasoning_tokens", "text_tokens"),
    },
)
RESPONSE_FIELDS = st.fixed_dictionaries(
    {"usage": RESPONSE_USAGE},
    optional={
        "status": st.sampled_from(["completed", "incomplete", "queued", None, 5]),
        "background": st.sampled_from([True, False, None]),
        "id": NAMES,
        "model": NAMES,
        "service_tier": NAMES,
        "created_at": st.sampled_from([None, int(time.time()), time.time(), 5, "now"]),
        "tool_usage": st.sampled_from(
            [None, {}, TOOLS_UNUSED, {"web_search": {"num_requests": 2}}, {"odd": 1}, []]
        ),
        "output": st.lists(
            st.sampled_from([MESSAGE, {"type": "image_generation_call", "result": "x"}, 5]),
            max_size=2,
        ),
    },
)
EMBEDDING_FIELDS = st.fixed_dictionaries(
    {"usage": st.fixed_dictionaries({"prompt_tokens": COUNTS}, optional={"total_tokens": COUNTS})},
    optional={"id": NAMES, "model": NAMES, "service_tier": NAMES},
)
GENERATED_FIELDS = st.fixed_dictionaries(
    {
        "usageMetadata": st.fixed_dictionaries(
            {"promptTokenCount": COUNTS, "candidatesTokenCount": COUNTS},
            optional={
                "thoughtsTokenCount": COUNTS,
                "cachedContentTokenCount": COUNTS,
                "toolUsePromptTokenCount": COUNTS,
                "totalTokenCount": COUNTS,
                "promptTokensDetails": MODALITIES,
                "cacheTokensDetails": MODALITIES,
                "trafficType": NAMES,
                "serviceTier": NAMES,
            },
        )
    },
    optional={
        "modelVersion": NAMES,
        "responseId": NAMES,
        "createTime": NAMES,
        "promptFeedback": st.sampled_from([None, {}, {"blockReason": "SAFETY"}, 5]),
        "candidates": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.sampled_from([0, 1, "1", None]),
                    "finishReason": NAMES,
                    "content": st.sampled_from([SAID, {}, {"parts": []}, None, 5]),
                },
            ),
            max_size=3,
        ),
    },
)
VARIED: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "a response": RESPONSE_FIELDS,
    "vectors": EMBEDDING_FIELDS,
    "Gemini's text": GENERATED_FIELDS,
}


@pytest.mark.parametrize("name", list(KINDS))
@given(data=st.data())
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_read_at_once_is_what_the_long_way_reads(
    meter: TokenMeter, long_way: Callable[[bool], None], name: str, data: st.DataObject
) -> None:
    kind = KINDS[name]
    body = json.dumps({**kind.usual, **data.draw(VARIED[name])}).encode()
    long_way(True)
    expected = as_read(meter, body, url=kind.url, asked=kind.body)
    long_way(False)
    assert as_read(meter, body, url=kind.url, asked=kind.body) == expected


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no recordings")
def test_every_recorded_answer_is_read_as_the_long_way_reads_it(
    meter: TokenMeter, long_way: Callable[[bool], None]
) -> None:
    read: Counter[str] = Counter()
    for exchange in load(*folder_names()):
        request, body = exchange.request_body, exchange.body
        if exchange.request["method"] != "POST" or plain(exchange.url, request, body) is None:
            continue
        read[exchange.api] += 1
        long_way(True)
        expected = as_read(meter, body, url=exchange.url, asked=request)
        long_way(False)
        assert as_read(meter, body, url=exchange.url, asked=request) == expected, exchange.id
    assert {"chat.completions", "messages", "responses", "embeddings"} <= set(read)
    assert any("enerate" in api for api in read), read


def test_the_time_that_an_answer_states_in_text_counts(meter: TokenMeter) -> None:
    now = datetime.now(UTC).replace(microsecond=123456)
    for stated in (now - timedelta(hours=1), now - timedelta(days=3)):
        body = json.dumps({**GENERATED, "createTime": stated.isoformat()}).encode()
        assert plain(VERTEX, KINDS["Gemini's text"].body, body) is not None
        client = Player([Answer(200, wire.JSON, [body])]).client()
        client.post(VERTEX, content=KINDS["Gemini's text"].body)
    near, far = (event.timestamp for event in events_of(meter))
    assert near == (now - timedelta(hours=1)).replace(microsecond=123000)
    assert abs(far - now) < timedelta(minutes=5)  # a clock that is wrong by days is not believed


def test_a_retrieved_response_is_a_sight_of_the_one_that_was_made(meter: TokenMeter) -> None:
    body = json.dumps(RESPONSE).encode()
    client = Player([Answer(200, wire.JSON, [body])]).client()
    client.post(RESPONSES, content=KINDS["a response"].body)
    client.get(f"{RESPONSES}/{RESPONSE['id']}")
    (event,) = events_of(meter)
    assert "id_reused" not in event.properties


def test_a_tier_that_a_header_states_counts_each_time(meter: TokenMeter) -> None:
    body = json.dumps(GENERATED).encode()
    client = Player([Answer(200, wire.JSON, [body])]).client()
    for tier in ("flex", "priority"):
        headers = {"x-vertex-ai-llm-shared-request-type": tier}
        client.post(VERTEX, content=KINDS["Gemini's text"].body, headers=headers)
    told = [event.properties["service_tier"] for event in events_of(meter)]
    assert told == ["flex", "priority"]


@pytest.mark.parametrize(
    "config",
    [{"responseModalities": ["IMAGE"]}, {"imageConfig": {"imageSize": "2K"}}],
    ids=["modalities", "an image's size"],
)
def test_a_request_that_asks_for_an_image_is_not_taken_for_one_that_does_not(
    meter: TokenMeter, config: dict[str, Any]
) -> None:
    client = Player([Answer(200, wire.JSON, [json.dumps(GENERATED).encode()])]).client()
    client.post(GEMINI, content=KINDS["Gemini's text"].body)
    client.post(GEMINI, content=asked(contents=[], generationConfig=config))
    client.post(GEMINI, content=asked(contents=[], generation_config=config, serviceTier="flex"))
    client.post(GEMINI, content=asked(contents=[], serviceTier="flex"))
    names = [event.event_name for event in events_of(meter)]
    assert names == ["text_generated", "image_generated", "image_generated", "text_generated"]
