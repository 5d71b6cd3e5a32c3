"""Every recorded Bedrock exchange through boto3 yields what it must."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.capture.expect import check
from tests.capture.play import Answer, chunks_of
from tests.capture.taps.bedrock import client
from tests.capture.taps.server import Server, serving
from tests.corpus import Exchange, load
from tokenmeter import TokenMeter

CHUNK_BYTES = 61
OPERATIONS = {
    "converse": "converse",
    "converse-stream": "converse_stream",
    "invoke": "invoke_model",
    "invoke-with-response-stream": "invoke_model_with_response_stream",
}


def through_boto3() -> list[Any]:
    try:
        found = [e for e in load("bedrock") if e.api in OPERATIONS]
    except FileNotFoundError:
        return [pytest.param(None, marks=pytest.mark.skip(reason="no corpus"))]
    return [pytest.param(exchange, id=exchange.id) for exchange in found]


def call(aws: Any, exchange: Exchange) -> None:
    """Make the call as a user would, and read its whole answer."""
    model = unquote(urlsplit(exchange.request["url"]).path.split("/")[2])
    body = json.loads(exchange.request_body or b"{}")
    operation = getattr(aws, OPERATIONS[exchange.api])
    if exchange.api.startswith("converse"):
        answer = operation(modelId=model, messages=body["messages"][:1])
    else:
        answer = operation(modelId=model, body=exchange.request_body or b"{}")
    if "stream" in exchange.api:
        for _ in answer["stream" if exchange.api.startswith("converse") else "body"]:
            pass
    elif exchange.api == "invoke":
        answer["body"].read()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.mark.parametrize("exchange", through_boto3())
def test_recorded_usage_is_metered(meter: TokenMeter, server: Server, exchange: Exchange) -> None:
    chunks = chunks_of(exchange.body, CHUNK_BYTES)
    server.play(Answer(exchange.response["status"], exchange.response["headers"], chunks))
    with meter.run() as run:
        failed = exchange.expected["status"] == "failed"
        with client(server) as aws, pytest.raises(ClientError) if failed else nullcontext():
            call(aws, exchange)
    check(exchange, run.events)
