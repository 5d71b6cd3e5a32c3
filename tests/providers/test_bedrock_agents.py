"""What an agent or a knowledge base of Bedrock's streams is read to its end."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.capture.play import Answer, Player, chunks_of
from tests.capture.taps.frames import event, frame
from tokenmeter import TokenMeter

HOST = "https://bedrock-agent-runtime.eu-west-1.amazonaws.com"
AGENT = f"{HOST}/agents/A/agentAliases/B/sessions/C/text"
RETRIEVE = f"{HOST}/retrieveAndGenerateStream"
NOVA = "amazon.nova-lite-v1:0"
sized = pytest.mark.parametrize("size", [5, 200, 100_000])


def step(**told: Any) -> bytes:
    return event({"trace": {"orchestrationTrace": told}}, "trace")


def piece(text: str) -> bytes:
    return event({"bytes": base64.b64encode(text.encode()).decode()}, "chunk")


def called(trace: str, sent: int, made: int) -> bytes:
    """What the trace tells of one call of a model."""
    usage = {"inputTokens": sent, "outputTokens": made}
    answered = {"traceId": trace, "metadata": {"usage": usage}}
    asked = {"traceId": trace, "foundationModel": NOVA}
    return step(modelInvocationInput=asked) + step(modelInvocationOutput=answered)


def sent(url: str, body: bytes, size: int) -> Any:
    """The properties of the event that a stream makes, read to its end."""
    kind = {"content-type": "application/vnd.amazon.eventstream"}
    meter = TokenMeter("memory:")
    client = meter.wrap(Player([Answer(200, kind, chunks_of(body, size))]).client())
    with meter.run() as run, client.stream("POST", url, json={"inputText": "Hi"}) as response:
        response.read()
    meter.shutdown()
    (made,) = run.events
    return made.properties


@sized
def test_an_agent_that_streams_its_answer_is_read_to_the_usage_after_it(size: int) -> None:
    body = called("t1", 40, 9) + piece("It is") + piece(" five.") + called("t2", 60, 7)
    found = sent(AGENT, body, size)
    assert (found["model"], found["input_tokens"], found["output_tokens"]) == (NOVA, 100, 16)
    assert (found["outcome"], found["usage_source"]) == ("success", "reported")


@sized
@pytest.mark.parametrize(("url", "kind"), [(AGENT, "chunk"), (RETRIEVE, "output")])
def test_an_exception_after_a_piece_of_the_answer_is_a_failure(
    url: str, kind: str, size: int
) -> None:
    begun = event({"text": "It", "bytes": base64.b64encode(b"It").decode()}, kind)
    broken = frame(
        b'{"message": "slow down"}',
        message_type="exception",
        exception_type="throttlingException",
    )
    found = sent(url, begun + broken, size)
    assert (found["outcome"], found["error_type"]) == ("failed", "throttlingException")


@sized
def test_a_knowledge_base_that_streams_succeeds_at_its_end(size: int) -> None:
    pieces = event({"text": "It"}, "output") + event({"text": " is"}, "output")
    found = sent(RETRIEVE, pieces, size)
    assert (found["outcome"], found["usage_source"]) == ("success", "missing")
