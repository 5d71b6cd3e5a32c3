"""Calls that are priced by the token never take more than the wallet holds."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai

from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import TOKEN_PRICE, funded_by_token
from tests.asgi.upstream import answering
from tests.asgi.workers import deliver_the_rest, workers
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Enforcement
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.engine.local import Engine
from tokenmeter.event import Property

CREDIT = Decimal(20)  # 20,000 tokens
CLIENTS = 24
CALLS_MAX = 40  # of one client; the credit is gone before
TRIES_MAX = 12  # of one call
PAYMENT_REQUIRED = 402
PROMPT_TOKENS = 8  # of "Hi", as OpenAI counts a chat with it

WORKER = """
import json, random, sys
import uvicorn
from tests.asgi.upstream import read_all, reply
from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, TokenMeterMiddleware

async def provider(scope, receive, send):
    '''Answer with any length that was asked for; streamed or whole.'''
    asked = json.loads(await read_all(receive))
    most = asked.get("max_tokens", 900)
    given = random.choice([1, most // 2, most, most])
    usage = {"prompt_tokens": 8, "completion_tokens": given, "total_tokens": 8 + given}
    facts = {"id": f"chatcmpl-{random.getrandbits(64)}", "model": "gpt-4o-mini", "created": 1}
    message = {"role": "assistant", "content": "x"}
    if asked.get("stream"):
        chunk = {**facts, "object": "chat.completion.chunk"}
        choices = [{"index": 0, "delta": message, "finish_reason": None}]
        parts = [{**chunk, "choices": choices}, {**chunk, "choices": [], "usage": usage}]
        lines = [b"data: " + json.dumps(part).encode() + b"\\n\\n" for part in parts]
        kind, lines = b"text/event-stream", [*lines, b"data: [DONE]\\n\\n"]
    else:
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        whole = {**facts, "object": "chat.completion", "choices": choices, "usage": usage}
        kind, lines = b"application/json", [json.dumps(whole).encode()]
    await reply(send, 200, [(b"content-type", kind)], lines)

app = TokenMeterMiddleware(
    provider, customer=ApiKeys({"key-of-acme": "acme"}), meter=TokenMeter(sys.argv[1]),
    enforce="wallet",
)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", lifespan="off")
"""


async def test_clients_that_try_again_never_spend_more_than_the_balance(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    with funded_by_token(url, "acme", credit=str(CREDIT)) as engine:
        engine.ingest(_short_answers(20))  # which teach to expect less than may come
        before = _spent(engine)
    with workers(WORKER, 4, tmp_path / "home", url) as started:
        made = await asyncio.gather(
            *(_client(started[number % 4][0], number) for number in range(CLIENTS))
        )
    assert sum(succeeded for succeeded, _ in made) >= 20
    assert sum(refused for _, refused in made) > CLIENTS  # they came again
    count = 20 + sum(ok for ok, _ in made)
    deliver_the_rest(url, tmp_path / "home", count)
    with Engine(url) as engine:
        assert len(engine.events(limit=1000).events) == count
        assert before < _spent(engine) <= CREDIT
        assert 0 <= engine.wallets.available("acme") < CREDIT / 2


async def _client(port: int, seed: int) -> tuple[int, int]:
    """Ask until the credit is gone, again after each 402; returns calls made and refused."""
    chance = random.Random(seed)
    succeeded = refused = 0
    async with openai.AsyncOpenAI(
        api_key="key-of-acme", base_url=f"http://127.0.0.1:{port}/v1", timeout=60
    ) as client:
        for _ in range(CALLS_MAX):
            limit = chance.choice([100, 300, 900])
            for attempt in range(TRIES_MAX):
                try:
                    await _call(client, limit, streamed=chance.random() < 0.5)
                except openai.APIStatusError as error:
                    if error.status_code != PAYMENT_REQUIRED:
                        raise
                    refused += 1
                    await asyncio.sleep(0.02 * attempt)
                else:
                    succeeded += 1
                    break
            else:
                return succeeded, refused
    return succeeded, refused


async def _call(client: openai.AsyncOpenAI, limit: int, *, streamed: bool) -> None:
    if not streamed:
        await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], max_tokens=limit
        )
        return
    async for _ in await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Hi"}],
        max_tokens=limit,
        stream=True,
        stream_options={"include_usage": True},
    ):
        pass


def _short_answers(count: int) -> list[Event]:
    """What calls used before: answers of one token."""
    facts: dict[str, Property] = {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "request_model": "gpt-4o-mini",
        "outcome": "success",
        "input_tokens": PROMPT_TOKENS,
        "uncached_input_tokens": PROMPT_TOKENS,
        "output_tokens": 1,
    }
    now = datetime.now(UTC)
    return [
        Event("text_generated", f"evt_{n}", "acme", now - timedelta(minutes=n), dict(facts))
        for n in range(1, count + 1)
    ]


def _spent(engine: Engine) -> Decimal:
    return Decimal(engine.invoice("acme")["subtotal"])


async def test_what_is_held_is_what_an_answer_may_be_at_most(tmp_path: Path) -> None:
    """The request's own limit, whatever was used before; else what the setting says."""
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded_by_token(url, "acme", credit="1").close()
    usage = {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9}
    answer = json.dumps({"id": "c", "model": "gpt-4o-mini", "choices": [], "usage": usage})
    meter = TokenMeter(url)
    meter.engine.ingest(_short_answers(20))
    gateway = TokenMeterMiddleware(
        answering(200, {"content-type": "application/json"}, [answer.encode()]),
        customer=lambda _r: "acme",
        meter=meter,
        enforce="wallet",
        enforcement=Enforcement(answer_tokens_max=500),
    )
    left = int(meter.engine.wallets.available("acme") / TOKEN_PRICE) - PROMPT_TOKENS
    for limit, status in ((left + 1, 402), (left, 200), (None, 200)):
        asked: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "Hi"}],
        }
        asked |= {} if limit is None else {"max_tokens": limit}
        answered = await ask(
            gateway, scope_of("POST", "/v1/chat/completions"), json.dumps(asked).encode()
        )
        assert answered.status == status, answered.body
        assert SETTLER.drain(10)
    meter.shutdown()
