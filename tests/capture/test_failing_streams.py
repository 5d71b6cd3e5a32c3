"""A stream that the provider itself ends with an error: what had passed until then is billed."""

from __future__ import annotations

import contextlib
from typing import Any

import openai
import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import TokenMeter

ERROR = {"error": {"message": "secret", "type": "server_error", "code": "server_error"}}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "failed",
    "model": "gpt-5",
    "error": {"code": "server_error", "message": "secret"},
    "usage": None,
}
TOLD = {"type": "response.failed", "response": RESPONSE}
BEGUN = {
    "type": "response.created",
    "response": {**RESPONSE, "status": "in_progress", "error": None},
}
DELTAS = [{"type": "response.output_text.delta", "delta": word * 4} for word in wire.WORDS]


def failing(chunks: list[bytes], *, responses: bool = False) -> dict[str, Any]:
    """Play a stream that the provider itself ends with an error, and return its event."""
    meter = TokenMeter("memory:")
    answer = Answer(200, dict(wire.SSE), chunks)
    client = openai.OpenAI(api_key="k", http_client=Player([answer]).client(), max_retries=0)
    meter.wrap(client)
    try:
        with contextlib.suppress(openai.APIError):
            if responses:
                list(client.responses.create(model="gpt-5", input="Say hello.", stream=True))
            else:
                list(client.chat.completions.create(**ASK, stream=True))
        (event,) = events_of(meter)
    finally:
        meter.shutdown()
    return dict(event.properties)


def test_what_a_chat_delivered_before_the_provider_reported_an_error_is_estimated() -> None:
    whole = wire.chat_stream().chunks
    found = failing([*whole[:4], *wire.sse(ERROR)])
    assert (found["outcome"], found["error_type"]) == ("failed", "server_error")
    assert (found["billable"], found["usage_source"]) == ("false", "estimated")
    assert found["output_tokens"] == 6  # "Meters count what was", a token for 4 letters
    assert found["input_tokens"] > 0
    assert "secret" not in str(found)


@pytest.mark.parametrize("end", [TOLD, {"type": "error", "code": "server_error", "message": "m"}])
def test_what_a_response_delivered_before_it_failed_is_estimated(end: dict[str, Any]) -> None:
    found = failing(wire.named_sse(BEGUN, *DELTAS, end), responses=True)
    assert (found["outcome"], found["usage_source"]) == ("failed", "estimated")
    text = sum(len(delta["delta"]) for delta in DELTAS)
    assert abs(found["output_tokens"] - text // 4) <= 1


def test_what_a_failed_response_reports_stands_as_it_is() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    end = {**TOLD, "response": {**RESPONSE, "usage": usage}}
    found = failing(wire.named_sse(BEGUN, *DELTAS, end), responses=True)
    assert (found["usage_source"], found["output_tokens"]) == ("reported", 3)


def test_of_a_stream_that_failed_before_any_text_nothing_is_estimated() -> None:
    found = failing(wire.sse(ERROR))
    assert (found["usage_source"], "output_tokens" in found) == ("missing", False)
