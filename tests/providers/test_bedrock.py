"""Bedrock: recorded exchanges, and what a request is described as."""

from __future__ import annotations

import pytest

from tests.corpus import Exchange, exchanges
from tests.providers.bedrock_wire import HOST, call, described, read_exchange, request
from tests.providers.expect import departures
from tokenmeter.providers import Request, find
from tokenmeter.providers.bedrock import ADAPTER

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 30])
@pytest.mark.parametrize("exchange", exchanges("bedrock"))
def test_every_recorded_exchange_yields_what_it_must(exchange: Exchange, chunk_bytes: int) -> None:
    assert departures(exchange, read_exchange(exchange, chunk_bytes)) == []
