"""What is held before a call: the most that it may be charged, however it is asked for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.funded import TOKEN_PRICE, funded_by_token, sold
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Ask, Enforcement, Limit
from tokenmeter.enforcement.settling import SETTLER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APP = answering(200, {"content-type": "application/json"}, [b"{}"])
PENDING = b"""{"id": "b1", "name": "batches/1", "object": "batch", "status": "in_progress",
    "processing_status": "in_progress"}"""  # of whichever provider
SUBMITTED = answering(200, {"content-type": "application/json"}, [PENDING])
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
SAID: dict[str, Any] = {"contents": [{"parts": [{"text": "Hello"}]}]}
CLAUDE = {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": []}
OLD = {"model": "gpt-3.5-turbo-instruct", "max_tokens": 10}
HAIKU = {**CLAUDE, "model": "claude-haiku-4-5", "max_tokens": 50}
CHAT = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
GEMINI_BATCH = "/v1beta/models/gemini-2.5-flash:batchGenerateContent"
TEN: dict[str, Any] = {**SAID, "generationConfig": {"maxOutputTokens": 10, "candidateCount": 8}}
LISTED = {"requests": {"requests": [{"request": TEN}, {"request": TEN}]}}
OF_PRO = {"request": {**TEN, "model": "models/gemini-2.5-pro"}}
FILE = {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


def entry(params: dict[str, Any]) -> dict[str, Any]:
    return {"custom_id": "a", "params": params}


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[TokenMeter]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    funded_by_token(url, "acme", credit="1").close()
    made = TokenMeter(url)
    yield made
    made.shutdown()


async def asked(
    meter: TokenMeter,
    path: str,
    body: Any,
    *headers: tuple[str, str],
    terms: Enforcement | None = None,
) -> Answered:
    app = TokenMeterMiddleware(
        SUBMITTED if "atch" in path else APP,
        customer=lambda _r: "acme",
        meter=meter,
        enforce="wallet",
        enforcement=terms,
    )
    return await ask(app, scope_of("POST", path, headers), json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "body", "answers"),
    [
        ("/v1/completions", {**OLD, "prompt": "a", "n": 2, "best_of": 5}, 5),
        ("/v1/completions", {**OLD, "prompt": "a", "n": " 7 "}, 7),
        ("/v1/completions", {**OLD, "prompt": "a", "n": 5_000}, 1_000),  # more than any makes
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
        ("/v1/messages/batches", {"requests": []}),
        ("/v1/messages/batches", {"requests": [entry(CLAUDE), {"custom_id": "b"}]}),
        ("/v1/messages/batches", {"requests": {"a": entry(CLAUDE)}, **CLAUDE}),
        (GEMINI_BATCH, {"batch": {"inputConfig": {"fileName": "files/1"}}}),
        (GEMINI_BATCH, {"batch": {"inputConfig": {"fileName": "files/1", **LISTED}}}),
        (GEMINI_BATCH, {"batch": {"inputConfig": LISTED, "input_config": LISTED}}),
        (GEMINI_BATCH, {"batch": {"input_config": {"requests": {"requests": [OF_PRO]}}}}),
    ],
)
async def test_a_batch_whose_requests_are_not_in_its_body_is_held_at_the_price_of_batches(
    meter: TokenMeter, path: str, body: Any
) -> None:
    assert (await asked(meter, path, body)).status == 503
    a_call = Enforcement(floor_price=Decimal("0.01"))
    assert (await asked(meter, path, body, terms=a_call)).status == 503
    batch = Enforcement(floor_price=Decimal("0.01"), batch_price=Decimal("0.60"))
    assert (await asked(meter, path, body, terms=batch)).status == 200
    assert meter.engine.wallets.available("acme") == Decimal("0.40")
    assert (await asked(meter, path, body, terms=batch)).status == 402


@pytest.mark.parametrize(
    ("path", "body", "answers"),
    [
        ("/v1/messages/batches", {"requests": [entry(CLAUDE)] * 3}, 3),
        ("/v1/messages/batches", {"requests": [entry(CLAUDE)], **CLAUDE, "max_tokens": 1}, 1),
        ("/v1/messages/batches", {"requests": [entry(CLAUDE), entry(HAIKU), entry(CLAUDE)]}, 7),
        (GEMINI_BATCH, {"batch": {"inputConfig": LISTED}}, 16),
        (GEMINI_BATCH, {"batch": {"input_config": LISTED}}, 16),
    ],
)
async def test_the_requests_of_a_batch_that_are_in_its_body_are_held_together(
    meter: TokenMeter, path: str, body: Any, answers: int
) -> None:
    quote = json.loads((await asked(meter, path, body, ("x-tokenmeter-preview", "true"))).body)
    assert quote["usage"]["output_tokens"] == 10 * answers
    given = quote["usage"].get("input_tokens", 0)
    least = TOKEN_PRICE * (10 * answers + given)
    assert least <= Decimal(quote["charge"]["high"]) < 2 * least
    assert (await asked(meter, path, body)).status == 200
    assert meter.engine.wallets.available("acme") <= 1 - least


async def test_a_batch_costs_half_of_what_its_requests_cost_by_themselves(
    meter: TokenMeter,
) -> None:
    preview = ("x-tokenmeter-preview", "true")
    one = json.loads((await asked(meter, "/v1/messages", CLAUDE, preview)).body)
    body = {"requests": [entry(CLAUDE)] * 4}
    four = json.loads((await asked(meter, "/v1/messages/batches", body, preview)).body)
    assert Decimal(four["cost"]["high"]) == 2 * Decimal(one["cost"]["high"])


@pytest.mark.parametrize(
    ("limit", "terms", "statuses"),
    [
        (Limit(per="day", tokens=40), Enforcement(), [200, 429]),  # of unknown size: one is left
        (Limit(per="day", money=Decimal(1)), Enforcement(), [503]),
        (Limit(per="day", money=Decimal(1)), Enforcement(floor_price=Decimal(1)), [503]),
        (Limit(per="day", money=Decimal(1)), Enforcement(batch_price=Decimal("0.6")), [200, 429]),
        (Limit(per="day", money=Decimal(1)), Enforcement(on_unavailable="open"), [200, 200]),
    ],
)
async def test_a_limit_is_no_free_ride_for_a_batch_of_unknown_size(
    meter: TokenMeter, limit: Limit, terms: Enforcement, statuses: list[int]
) -> None:
    said = {"id": "c1", "model": "gpt-4o", "usage": {"prompt_tokens": 39, "completion_tokens": 1}}
    chat = answering(200, {"content-type": "application/json"}, [json.dumps(said).encode()])
    app = TokenMeterMiddleware(
        SUBMITTED, customer=lambda _r: "nobody", meter=meter, limits=[limit], enforcement=terms
    )
    submit = scope_of("POST", "/v1/batches")
    found = [(await ask(app, submit, json.dumps(FILE).encode())).status]
    if limit.tokens is not None:
        app.app = chat
        await ask(app, scope_of("POST", "/v1/chat/completions"), json.dumps(CHAT).encode())
        assert SETTLER.drain(10)
    if found == [200]:
        found.append((await ask(app, submit, json.dumps(FILE).encode())).status)
    assert found == statuses


async def test_a_limit_of_money_is_no_free_ride_for_a_model_without_a_price(
    meter: TokenMeter,
) -> None:
    said = {"id": "c2", "model": "a-new-one", "usage": {"prompt_tokens": 9}}
    app = answering(200, {"content-type": "application/json"}, [json.dumps(said).encode()])
    limits = [Limit(per="day", money=Decimal(1))]
    terms = Enforcement(floor_price=Decimal("0.6"))
    for number, enforcement in enumerate((Enforcement(), terms)):
        gateway = TokenMeterMiddleware(
            app, customer=lambda _r: "nobody", meter=meter, limits=limits, enforcement=enforcement
        )
        body = json.dumps({**CHAT, "model": "a-new-one"}).encode()
        path, found = scope_of("POST", "/v1/chat/completions"), list[int]()
        for _ in range(2):
            found.append((await ask(gateway, path, body)).status)
            assert SETTLER.drain(10)
        assert found == ([503, 503], [200, 429])[number]


@pytest.mark.parametrize("spelled", ["", "/", "//"])
async def test_a_preview_is_one_however_its_path_is_spelled(
    meter: TokenMeter, spelled: str
) -> None:
    path = f"/tokenmeter{spelled or '/'}preview{spelled}"
    quote = json.loads((await asked(meter, path, CLAUDE)).body)
    assert quote["model"] == CLAUDE["model"]


async def test_the_texts_of_a_batch_of_embeddings_are_counted_together(meter: TokenMeter) -> None:
    text = {"request": {"content": {"parts": [{"text": "Hello there"}]}}}
    body = {"batch": {"inputConfig": {"requests": {"requests": [text] * 5}}}}
    path = "/v1beta/models/gemini-embedding-001:asyncBatchEmbedContent"
    quote = json.loads((await asked(meter, path, body, ("x-tokenmeter-preview", "true"))).body)
    assert quote["usage"]["input_tokens"] == 10
    assert quote["cost"] is not None


@pytest.mark.parametrize("said", [{}, {"quality": "auto"}, {"quality": "auto", "size": "auto"}])
@pytest.mark.parametrize("of_the_rest", [True, False])
async def test_what_the_provider_chooses_itself_is_held_at_the_dearest_choice(
    tmp_path: Path, said: dict[str, str], *, of_the_rest: bool
) -> None:
    url = f"sqlite:///{tmp_path}/images.db"
    images = {
        "event_name": "image_generated",
        "aggregation": {"type": "SUM", "field": "image_count"},
    }
    dear = {"amount": "0.25", "filter_values": {"quality": ["high"]}}
    sold(url, images, prices=[{"amount": "0.01"}, dear] if of_the_rest else [dear])
    meter = TokenMeter(url)
    body = {"model": "gpt-image-1", "prompt": "x", "n": 2, **said}
    held: list[Decimal] = []

    def decide(ask: Ask) -> None:
        assert ask.quote is not None
        assert ask.quote.charge is not None
        held.append(ask.quote.charge.high.amount)

    app = TokenMeterMiddleware(APP, customer=lambda _r: "acme", meter=meter, enforce=decide)
    await ask(app, scope_of("POST", "/v1/images/generations"), json.dumps(body).encode())
    assert held == [Decimal("0.50")]
    meter.shutdown()


@pytest.mark.parametrize("by_token", [True, False])
async def test_a_price_for_the_request_alone_is_no_price_where_tokens_have_one(
    tmp_path: Path, *, by_token: bool
) -> None:
    url = f"sqlite:///{tmp_path}/both.db"
    counted = {"event_name": "text_generated", "aggregation": {"type": "COUNT"}}
    tokens = {
        "event_name": "text_generated",
        "aggregation": {"type": "SUM", "field": "total_tokens"},
    }
    sold(url, counted, credit="1.00", also=[tokens] if by_token else [])
    meter = TokenMeter(url)
    assert (await asked(meter, "/v1/batches", FILE)).status == (503 if by_token else 200)
    terms = Enforcement(batch_price=Decimal("0.60"))
    assert (await asked(meter, "/v1/batches", FILE, terms=terms)).status == 200
    left = Decimal("0.40") if by_token else Decimal("0.98")
    assert meter.engine.wallets.available("acme") == left
    meter.shutdown()
