"""What is held before a call: the most that it may be charged, however it is asked for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.funded import TOKEN_PRICE, funded_by_token
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APP = answering(200, {"content-type": "application/json"}, [b"{}"])
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
SAID: dict[str, Any] = {"contents": [{"parts": [{"text": "Hello"}]}]}
CLAUDE = {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": []}
OLD = {"model": "gpt-3.5-turbo-instruct", "max_tokens": 10}
FILE = {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[TokenMeter]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    funded_by_token(url, "acme", credit="1").close()
    made = TokenMeter(url)
    yield made
    made.shutdown()


async def asked(meter: TokenMeter, path: str, body: Any, *headers: tuple[str, str]) -> Answered:
    app = TokenMeterMiddleware(APP, customer=lambda _r: "acme", meter=meter, enforce="wallet")
    return await ask(app, scope_of("POST", path, headers), json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "body", "answers"),
    [
        ("/v1/completions", {**OLD, "prompt": "a", "n": 2, "best_of": 5}, 5),
        ("/v1/completions", {**OLD, "prompt": ["a", "b", "c"], "n": 2}, 6),
        ("/v1/completions", {**OLD, "prompt": [[1, 2], [3]], "best_of": 2}, 4),
        ("/v1/completions", {**OLD, "prompt": [1, 2, 3]}, 1),  # one prompt, of three tokens
        (GEMINI, {**SAID, "generationConfig": {"maxOutputTokens": 10, "candidateCount": 8}}, 8),
        (
            GEMINI,
            {**SAID, "generation_config": {"max_output_tokens": 10, "candidate_count": 8}},
            8,
        ),
    ],
)
async def test_every_answer_that_is_written_is_in_the_quote(
    meter: TokenMeter, path: str, body: Any, answers: int
) -> None:
    quoted = await asked(meter, path, body, ("x-tokenmeter-preview", "true"))
    quote = json.loads(quoted.body)
    assert quote["usage"]["output_tokens"] == 10 * answers
    assert Decimal(quote["charge"]["high"]) >= 10 * answers * TOKEN_PRICE


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/batches", FILE),
        ("/v1/batches", {**FILE, "model": "gpt-4o", "max_tokens": 1, "messages": []}),
        ("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": CLAUDE}]}),
        ("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": CLAUDE}], **CLAUDE}),
    ],
)
async def test_a_batch_is_not_held_as_one_call(meter: TokenMeter, path: str, body: Any) -> None:
    assert (await asked(meter, path, body)).status == 503


@pytest.mark.parametrize("spelled", ["", "/", "//"])
async def test_a_preview_is_one_however_its_path_is_spelled(
    meter: TokenMeter, spelled: str
) -> None:
    path = f"/tokenmeter{spelled or '/'}preview{spelled}"
    quote = json.loads((await asked(meter, path, CLAUDE)).body)
    assert quote["model"] == CLAUDE["model"]
