"""boto3 clients that believe to speak to AWS, and answers of Bedrock made up here."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from tests.capture.play import Answer
from tests.capture.taps.frames import event, frame
from tests.capture.taps.server import Server
from tests.capture.wire import JSON, WORDS

FRAMES = {"content-type": "application/vnd.amazon.eventstream"}
MODEL = "anthropic.claude-sonnet-4-20250514-v1:0"
USAGE = {"inputTokens": 9, "outputTokens": 6, "totalTokens": 15}
ASK: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
}


@contextmanager
def client(server: Server, service: str = "bedrock-runtime", **options: Any) -> Generator[Any]:
    """A client whose requests go to the loopback, under their own URLs."""
    options.setdefault("retries", {"total_max_attempts": 1, "mode": "standard"})
    made: Any = boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=f"http://{service}.us-east-1.amazonaws.com",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(proxies={"http": server.url}, **options),
    )
    try:
        yield made
    finally:
        made.close()


def converse() -> Answer:
    body = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 1},
    }
    return Answer(200, dict(JSON), [json.dumps(body).encode()])


def converse_stream() -> Answer:
    deltas = [
        event({"contentBlockIndex": 0, "delta": {"text": word}}, "contentBlockDelta")
        for word in WORDS
    ]
    start = event({"role": "assistant"}, "messageStart")
    stop = event({"stopReason": "end_turn"}, "messageStop")
    last = event({"usage": USAGE, "metrics": {"latencyMs": 1}}, "metadata")
    return Answer(200, dict(FRAMES), [start, *deltas, stop, last])


def throttled_stream() -> Answer:
    raised = frame(
        b'{"message":"slow down"}',
        exception_type="throttlingException",
        content_type="application/json",
        message_type="exception",
    )
    chunks = converse_stream().chunks
    return Answer(200, dict(FRAMES), [*chunks[:3], raised])


def throttled() -> Answer:
    headers = {**JSON, "x-amzn-errortype": "ThrottlingException"}
    return Answer(429, headers, [b'{"message":"slow down"}'])
