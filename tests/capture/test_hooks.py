"""A hook of the user's that raises for an answer: the event tells of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture import wire
from tests.capture.play import LIBRARIES, Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import TokenMeter

URL = "https://api.openai.com/v1/chat/completions"


@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_hook_that_raises_for_the_status(meter: TokenMeter, library: Any, reads: bool) -> None:
    def check(response: Any) -> None:
        if reads:
            response.read()
        response.raise_for_status()

    player = Player([wire.failure(429), wire.chat()])
    client = player.client(library, event_hooks={"response": [check]})
    with pytest.raises(library.HTTPStatusError):
        client.post(URL, json=ASK)
    client.post(URL, json=ASK)
    failed, made = (event.properties for event in events_of(meter))
    assert (failed["outcome"], failed["http_status"]) == ("failed", "429")
    assert failed["error_type"] == ("rate_limited" if reads else "HTTPStatusError")
    assert (made["outcome"], made["attempt"], made["call_id"]) == ("success", 2, failed["call_id"])
    assert meter.faults == 0


@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
async def test_an_async_hook_that_raises_for_the_status(meter: TokenMeter, library: Any) -> None:
    async def check(response: Any) -> None:
        await response.aread()
        response.raise_for_status()

    client = Player([wire.failure(500)]).async_client(library, event_hooks={"response": [check]})
    with pytest.raises(library.HTTPStatusError):
        await client.post(URL, json=ASK)
    (event,) = events_of(meter)
    assert (event.properties["outcome"], event.properties["http_status"]) == ("failed", "500")


@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
def test_a_hook_with_an_error_of_its_own(meter: TokenMeter, library: Any) -> None:
    def check(_response: Any) -> None:
        error = KeyError("mine")
        error.response = "no response"  # type: ignore[attr-defined]
        raise error

    client = Player([wire.chat()]).client(library, event_hooks={"response": [check]})
    with pytest.raises(KeyError):
        client.post(URL, json=ASK)
    (event,) = events_of(meter)
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", "KeyError")
