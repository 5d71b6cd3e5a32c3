"""The same recordings through the providers' real SDKs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture.expect import check
from tests.capture.sdks import send
from tests.capture.test_corpus import FOLDERS, player_of
from tests.corpus import Exchange, exchanges
from tokenmeter import TokenMeter


@pytest.fixture(scope="module")
def meter() -> Any:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("exchange", exchanges(*FOLDERS))
def test_recorded_usage_is_metered_through_the_sdk(meter: TokenMeter, exchange: Exchange) -> None:
    array_stream = exchange.api == "streamGenerateContent" and not exchange.body.startswith(
        b"data"
    )
    if array_stream and exchange.response["status"] == 200:
        pytest.skip("a JSON array: the SDK asks for server-sent events only")
    player = player_of(exchange)
    with meter.run() as run:
        send(exchange, player)
    assert player.sent, "the SDK sent nothing"
    check(exchange, run.events)
