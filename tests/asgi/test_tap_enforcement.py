"""The same enforcement where there is no gateway: at the tap, in the provider's own words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.asgi.funded import PRICE, funded
from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter
from tokenmeter.enforcement.settling import SETTLER

IMAGE = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}]}).encode()
JSON = {"content-type": "application/json"}


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[TokenMeter]:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit="1.00").close()
    made = TokenMeter(url)
    yield made
    made.shutdown()


def draw(client: openai.OpenAI) -> None:
    client.images.generate(model="gpt-image-1", prompt="a lemon tree", size="1024x1024")


def test_what_the_wallet_does_not_cover_is_not_sent(meter: TokenMeter) -> None:
    player = Player([Answer(200, JSON, [IMAGE])])
    client = meter.wrap(openai.OpenAI(api_key="k", http_client=player.client()))
    with meter.attribute(customer="acme", enforce="wallet"):
        draw(client)
        draw(client)
        with pytest.raises(openai.APIStatusError) as refused:
            draw(client)
    assert refused.value.status_code == 402
    assert "balance" in str(refused.value)
    assert len(player.sent) == 2  # and no retry of what was refused
    assert SETTLER.drain(10)
    assert meter.flush(30)
    assert len(meter.engine.events().events) == 2
    assert meter.engine.wallets.available("acme") == 0


async def test_an_async_client_is_refused_just_the_same(meter: TokenMeter) -> None:
    player = Player([Answer(200, JSON, [IMAGE])])
    client = meter.wrap(openai.AsyncOpenAI(api_key="k", http_client=player.async_client()))

    async def one() -> int:
        try:
            await client.images.generate(model="gpt-image-1", prompt="x", size="1024x1024")
        except openai.APIStatusError as error:
            return error.status_code
        return 200

    with meter.attribute(customer="acme", enforce="wallet"):
        statuses = await asyncio.gather(*(one() for _ in range(6)))
    assert sorted(statuses) == [200, 200, 402, 402, 402, 402]
    assert len(player.sent) == 2


def test_a_failed_call_gives_its_hold_back(meter: TokenMeter) -> None:
    player = Player([Answer(500, JSON, [b'{"error":{"message":"no"}}'])])
    http = player.client()
    client = meter.wrap(openai.OpenAI(api_key="k", http_client=http, max_retries=2))
    with (
        meter.attribute(customer="acme", enforce="wallet"),
        pytest.raises(openai.InternalServerError),
    ):
        draw(client)
    assert SETTLER.drain(10)
    assert meter.engine.wallets.available("acme") == 2 * PRICE


def test_a_refusal_is_in_the_words_of_the_provider(meter: TokenMeter) -> None:
    player = Player([Answer(200, JSON, [b"{}"])])
    client = meter.wrap(anthropic.Anthropic(api_key="k", http_client=player.client()))
    message: Any = [{"role": "user", "content": "Hi"}]
    with (
        meter.attribute(customer="acme", enforce=lambda _ask: "Not you."),
        pytest.raises(anthropic.APIStatusError) as refused,
    ):
        client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=message)
    assert refused.value.status_code == 402
    error: Any = refused.value.body
    assert error["error"] == {"type": "billing_error", "message": "Not you."}
    assert player.sent == []


def test_outside_the_block_nothing_is_enforced(meter: TokenMeter) -> None:
    player = Player([Answer(200, JSON, [IMAGE])])
    client = meter.wrap(openai.OpenAI(api_key="k", http_client=player.client()))
    with (
        meter.attribute(customer="acme", enforce=lambda _ask: False),
        pytest.raises(openai.APIError),
    ):
        draw(client)
    draw(client)
    assert len(player.sent) == 1


def test_an_old_httpx_client_gets_a_response_of_its_own_library(meter: TokenMeter) -> None:
    import httpx

    player = Player([Answer(200, JSON, [IMAGE])])
    url = "https://api.openai.com/v1/images/generations"
    for library in (httpx, httpx2):
        client = meter.wrap(player.client(library))
        with meter.attribute(customer="nobody", enforce=lambda _ask: False):
            answer = client.post(url, json={"model": "gpt-image-1", "prompt": "x"})
        assert isinstance(answer, library.Response)
        assert answer.status_code == 402
