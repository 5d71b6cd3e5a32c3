"""The same recordings through the providers' real SDKs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.capture.expect import check
from tests.capture.sdks import send
from tests.capture.taps.test_corpus_boto3 import OPERATIONS
from tests.capture.test_corpus import player_of
from tests.corpus import CORPUS, Exchange, exchanges, load
from tokenmeter import TokenMeter


@pytest.fixture(scope="module")
def meter() -> Any:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


# Bedrock's own APIs go through boto3: taps/test_corpus_boto3.py has each of them.
BY_BOTO3 = {*OPERATIONS, "count-tokens"}
# The SDK asks for server-sent events only, so it cannot be given a JSON array.
AS_ARRAY = "streamGenerateContent"


def goes_by_sdk(exchange: Exchange) -> bool:
    """Say whether an SDK that is installed here makes such a call."""
    array = exchange.api == AS_ARRAY and not exchange.body.startswith(b"data")
    return exchange.api not in BY_BOTO3 and not (array and exchange.response["status"] == 200)


def by_sdk() -> list[Any]:
    return [p for p in exchanges() if p.values[0] is None or goes_by_sdk(p.values[0])]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("exchange", by_sdk())
def test_recorded_usage_is_metered_through_the_sdk(meter: TokenMeter, exchange: Exchange) -> None:
    player = player_of(exchange)
    with meter.run() as run:
        send(exchange, player)
    assert player.sent, "the SDK sent nothing"
    sent_to = urlsplit(str(player.sent[0].url)).hostname or ""
    regional = "aiplatform.googleapis.com"  # the SDK puts its own region before it
    assert sent_to.endswith(regional if exchange.host.endswith(regional) else exchange.host)
    check(exchange, run.events)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
def test_what_no_sdk_sends_is_what_none_can_send() -> None:
    left = {exchange.api for exchange in load() if not goes_by_sdk(exchange)}
    assert left <= {AS_ARRAY, *BY_BOTO3}
    streams = [exchange for exchange in load() if exchange.api == AS_ARRAY]
    assert any(map(goes_by_sdk, streams)) or not streams
