"""No recording, however mangled, makes the adapter raise or invent a number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus import CORPUS, load
from tests.providers.fold import as_request
from tests.providers.google_wire import FLASH, GEMINI, PUBLISHED, VERTEX
from tests.providers.junk import JUNK, numbers, places, replaced, settled, spoiled
from tokenmeter.capture.passed import event_data
from tokenmeter.providers import Request
from tokenmeter.providers.base import COUNT_MAX
from tokenmeter.providers.google import describe

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")

# Made-up answers beside the recorded ones, of the kinds that the corpus lacks.
MADE: list[tuple[Request, list[Any]]] = [
    (
        Request("POST", VERTEX, f"{PUBLISHED}/imagen-4.0-generate-001:predict"),
        [{"predictions": [{"bytesBase64Encoded": "", "mimeType": "image/png"}]}],
    ),
    (
        Request("GET", GEMINI, "/v1beta/models/veo-3/operations/x"),
        [
            {
                "name": "models/veo-3/operations/x",
                "done": True,
                "response": {
                    "generateVideoResponse": {
                        "generatedSamples": [{"video": {"uri": "u"}}],
                        "raiMediaFilteredCount": 1,
                    }
                },
            }
        ],
    ),
    (
        Request("POST", GEMINI, f"{FLASH}:batchGenerateContent"),
        [
            {
                "name": "batches/b",
                "done": True,
                "metadata": {"state": "BATCH_STATE_SUCCEEDED", "model": "m"},
                "response": {
                    "inlinedResponses": {
                        "inlinedResponses": [
                            {"response": {"usageMetadata": {"promptTokenCount": 3}}},
                            {"response": {"tokenCount": 4}},
                        ]
                    }
                },
            }
        ],
    ),
]


def payloads(body: bytes) -> list[Any]:
    """The JSON values of a body, of a stream, or of an array."""
    if b"data:" not in body:
        whole = json.loads(body)
        return whole if isinstance(whole, list) else [whole]
    events = [event_data(part) for part in body.split(b"\n\n")]
    found: list[Any] = []
    for event in events:
        try:
            found.append(json.loads(event))
        except ValueError:
            continue  # the end mark, or an event that was cut off
    return found


def recordings() -> list[tuple[Request, list[Any]]]:
    found = list(MADE)
    for exchange in load("gemini", "vertex"):
        request = as_request(exchange)
        asked = describe(request)
        events = payloads(exchange.body) if asked is not None else []
        if events:
            found.append((request, events))
    return found


RECORDED = recordings() if CORPUS.is_dir() else []


@st.composite
def mangled(draw: st.DrawFn) -> tuple[Request, list[Any]]:
    request, recorded = draw(st.sampled_from(RECORDED))
    return request, draw(spoiled(recorded))


AS_REPORTED = ("cache_read_tokens", "reasoning_tokens", "tool_use_input_tokens", "characters")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mangled())
def test_mangled_answers_never_raise_and_never_turn_junk_into_numbers(
    case: tuple[Request, list[Any]],
) -> None:
    request, recorded = case
    asked = describe(request)
    assert asked is not None
    reading = settled(asked, recorded)
    wire = numbers(recorded)
    for metric, number in reading.usage.items():
        assert isinstance(number, int)
        assert 0 <= number <= 5 * COUNT_MAX, metric
    if asked.provider == "google" and asked.api.operation == "generateContent":
        assert all(reading.usage.get(name) in {None, *wire} for name in AS_REPORTED)
    for value in (reading.model, reading.response_id, reading.error_type, reading.created):
        assert value is None or isinstance(value, int | float | str)  # a time may be a float
    assert all(isinstance(value, str) for value in reading.dimensions.values())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mangled(), st.data())
def test_a_mangled_request_is_described_without_raising(
    case: tuple[Request, list[Any]], data: st.DataObject
) -> None:
    request, _ = case
    body = {
        "generationConfig": {"imageConfig": {"imageSize": "1K"}, "responseModalities": ["IMAGE"]},
        "generation_config": {"image_config": {"image_size": "1K"}},
        "response_format": [{"type": "video", "duration": "8s"}],
        "parameters": {"durationSeconds": 8, "sampleCount": 2, "resolution": "4K"},
        "instances": [{"prompt": "x", "image": {}}],
        "model": "m",
        "input": "x",
        **request.body,
    }
    body = replaced(
        body, data.draw(st.sampled_from(places(body))), data.draw(st.sampled_from(JUNK))
    )
    asked = describe(Request(request.method, request.host, request.path, body=body))
    assert asked is None or all(isinstance(v, str) for v in asked.dimensions.values())
    assert asked is None or asked.request_model is None or isinstance(asked.request_model, str)
