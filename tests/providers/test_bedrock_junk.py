"""No answer of Bedrock's, however mangled, makes the adapter raise or invent a number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import CORPUS, Exchange, load
from tests.providers.bedrock_wire import EVENT_STREAM, call, described, frames, settled
from tests.providers.fold import as_request
from tests.providers.junk import JUNK, check, counted, replaced, spoiled
from tests.providers.test_bedrock_invoke import BODIES, STREAMS
from tokenmeter.providers import Call, Request
from tokenmeter.providers.bedrock import describe

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")

TOTALS_IN_ALL = 3  # a count is in its total, in that of both sides, and in itself
OUTPUTS_MAX = 3
NATIVE = {"converse", "converse-stream", "invoke", "invoke-with-response-stream"}


def payloads(exchange: Exchange) -> list[Any]:
    if exchange.response["headers"].get("content-type") == EVENT_STREAM:
        found = list(frames(exchange.body))
        return found if len(found) < 5 else found[:2] + found[-3:]
    return [json.loads(exchange.body)]


def answers() -> list[tuple[Call, list[Any]]]:
    """Recorded answers, and those of every family."""
    recorded = [e for e in load("bedrock") if e.api in NATIVE] if CORPUS.is_dir() else []
    return [
        *((described(as_request(e)), payloads(e)) for e in recorded),
        *((call(model, "invoke"), [body]) for model, body in BODIES.items()),
        *((call(m, "invoke-with-response-stream"), parts) for m, parts in STREAMS.items()),
    ]


ANSWERS = answers()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_an_answer_is_survived(data: st.DataObject) -> None:
    asked, parts = data.draw(st.sampled_from(ANSWERS))
    found = data.draw(spoiled(parts))
    check(settled(asked, *found), TOTALS_IN_ALL * counted(parts) + OUTPUTS_MAX)
    assert asked.api.text is not None
    assert all(isinstance(asked.api.text(payload), str) for payload in found)


COUNTS = [
    (asked, body, ("usage", name) if "usage" in body else (name,))
    for asked, (body, *_) in ANSWERS
    for name in (body["usage"] if isinstance(body.get("usage"), dict) else body)
    if name.lower().endswith(("tokens", "count"))
]


@pytest.mark.parametrize("junk", JUNK, ids=lambda value: repr(value)[:20])
def test_junk_in_a_count_leaves_it_out(junk: Any) -> None:
    for asked, body, place in COUNTS:
        honest = sum(settled(asked, body).usage.values())
        check(settled(asked, replaced(body, place, junk)), honest)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_a_request_is_survived(data: st.DataObject) -> None:
    body = {
        "serviceTier": {"type": "flex"},
        "performanceConfig": {"latency": "optimized"},
        "imageGenerationConfig": {"width": 512, "height": 512, "quality": "premium"},
        "anthropic_version": "bedrock-2023-05-31",
        "stream": True,
    }
    (spoilt,) = data.draw(spoiled([body]))
    model = data.draw(
        st.sampled_from(["amazon.nova-canvas-v1:0", "arn:", "%ff", "a/b", "x" * 999])
    )
    for verb in ("converse", "invoke", "count-tokens"):
        found = describe(Request("POST", "h", f"/model/{model}/{verb}", body=spoilt))
        assert found is None or all(isinstance(v, str) for v in found.dimensions.values())
        assert found is None or len(found.request_model or "") <= 200
