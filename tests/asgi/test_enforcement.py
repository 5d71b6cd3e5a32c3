"""A call that its customer may not make is not made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.upstream import answering, forwarding, read_all, reply
from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import App, Receive, Scope, Send
from tokenmeter.enforcement import Ask, Enforcement, Limit, Refusal
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.errors import ConfigurationError

JSON = {"content-type": "application/json"}
ASKED = {"model": "gpt-image-1", "prompt": "a lemon tree", "size": "1024x1024", "quality": "low"}
IMAGE = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}]}).encode()
MADE = answering(200, JSON, [IMAGE])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'usage.db'}"


@pytest.fixture
def meters() -> Iterator[list[TokenMeter]]:
    made: list[TokenMeter] = []
    yield made
    for meter in made:
        meter.shutdown()


class Gateway:
    """A middleware that enforces, for requests of one customer."""

    def __init__(self, app: App, url: str, made: list[TokenMeter], **options: Any) -> None:
        self.meter = TokenMeter(url)
        made.append(self.meter)
        self.app = TokenMeterMiddleware(
            app, customer=lambda r: r.headers.get("x-who"), meter=self.meter, **options
        )

    async def ask(
        self, fields: Any = None, *, who: str | None = "acme", path: str = IMAGE_PATH
    ) -> Answered:
        headers = [("content-type", "application/json")]
        headers += [] if who is None else [("x-who", who)]
        body = fields if isinstance(fields, bytes) else json.dumps(fields or ASKED).encode()
        return await ask(self.app, scope_of("POST", path, headers), body)

    def settled(self) -> None:
        assert SETTLER.drain(10)
        assert self.meter.flush(30)


async def test_exactly_as_many_calls_pass_as_the_credit_covers(
    url: str, meters: list[TokenMeter]
) -> None:
    funded(url, "acme", credit="2").close()
    gateway = Gateway(MADE, url, meters, enforce="wallet")
    answers = await asyncio.gather(*(gateway.ask() for _ in range(12)))
    assert sorted(a.status for a in answers) == [200] * 4 + [402] * 8
    refused = next(a for a in answers if a.status == 402)
    assert json.loads(refused.body)["error"]["type"] == "insufficient_quota"
    gateway.settled()
    invoice = gateway.meter.engine.invoice("acme")
    assert Decimal(invoice["subtotal"]) == 4 * PRICE
    assert gateway.meter.engine.wallets.available("acme") == 0


async def test_parallel_calls_beyond_what_is_included_are_paid(
    url: str, meters: list[TokenMeter]
) -> None:
    funded(url, "acme", credit="0.50", included=2).close()
    gateway = Gateway(MADE, url, meters, enforce="wallet")
    answers = await asyncio.gather(*(gateway.ask() for _ in range(12)))
    assert sorted(a.status for a in answers) == [200] * 3 + [402] * 9
    gateway.settled()
    invoice = gateway.meter.engine.invoice("acme")
    assert Decimal(invoice["subtotal"]) == PRICE


@pytest.mark.parametrize("status", [429, 500])
async def test_what_failed_upstream_gives_its_hold_back(
    url: str, meters: list[TokenMeter], status: int
) -> None:
    funded(url, "acme", credit="0.50").close()
    error = answering(status, JSON, [b'{"error":{"message":"no"}}'])
    gateway = Gateway(error, url, meters, enforce="wallet")
    for _ in range(3):
        assert (await gateway.ask()).status == status
        gateway.settled()
    assert gateway.meter.engine.wallets.available("acme") == PRICE


async def test_an_application_that_crashes_gives_the_hold_back(
    url: str, meters: list[TokenMeter]
) -> None:
    async def broken(_scope: Scope, receive: Receive, _send: Send) -> None:
        await read_all(receive)
        raise ValueError("broken")

    funded(url, "acme", credit="0.50").close()
    gateway = Gateway(broken, url, meters, enforce="wallet")
    with pytest.raises(ValueError, match="broken"):
        await gateway.ask()
    gateway.settled()
    assert gateway.meter.engine.wallets.available("acme") == PRICE


async def test_the_tapped_upstream_call_settles_the_hold(
    url: str, meters: list[TokenMeter]
) -> None:
    funded(url, "acme", credit="1.00").close()
    client = Player([Answer(200, JSON, [IMAGE])]).async_client()
    app = forwarding(client, f"https://api.openai.com{IMAGE_PATH}")
    gateway = Gateway(app, url, meters, enforce="wallet")
    gateway.meter.wrap(client)
    assert [(await gateway.ask()).status for _ in range(3)] == [200, 200, 402]
    gateway.settled()
    assert gateway.meter.engine.wallets.available("acme") == 0


async def test_a_hold_whose_worker_died_comes_back(url: str, meters: list[TokenMeter]) -> None:
    engine = funded(url, "acme", credit="0.50")
    gateway = Gateway(MADE, url, meters, enforce="wallet")
    await gateway.ask(ASKED, path="/tokenmeter/preview")  # what is loaded once
    hold = engine.wallets.hold("acme", PRICE, 1.0, "crashed")
    assert (await gateway.ask()).status == 402
    await asyncio.sleep(max(0.0, (hold.expires_at - datetime.now(UTC)).total_seconds()) + 0.01)
    assert (await gateway.ask()).status == 200
    engine.close()


@pytest.mark.parametrize(
    ("who", "status"), [(None, 401), ("nobody", 402)], ids=["no customer", "no wallet"]
)
async def test_without_a_wallet_nothing_is_paid(
    url: str, meters: list[TokenMeter], who: str | None, status: int
) -> None:
    funded(url, "acme", credit="2").close()
    terms = Enforcement(floor_price=Decimal("0.01"))
    gateway = Gateway(MADE, url, meters, enforce="wallet", enforcement=terms)
    assert (await gateway.ask(who=who)).status == status


UNPRICED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        (Enforcement(), 503),
        (Enforcement(on_unavailable="open"), 200),
        (Enforcement(floor_price=Decimal("0.10")), 200),
        (Enforcement(floor_price=Decimal(3)), 402),
    ],
)
async def test_a_call_without_a_price_is_decided_by_the_setting(
    url: str, meters: list[TokenMeter], terms: Enforcement, status: int
) -> None:
    funded(url, "acme", credit="2").close()
    gateway = Gateway(MADE, url, meters, enforce="wallet", enforcement=terms)
    answered = await gateway.ask(UNPRICED, path=CHAT)
    assert answered.status == status
    if status == 503:
        assert answered.headers["retry-after"] == "5"


@pytest.mark.parametrize("body", [b"\xff", b'{"model"', b"[]"])
async def test_what_cannot_be_read_is_no_free_ride(
    url: str, meters: list[TokenMeter], body: bytes
) -> None:
    funded(url, "acme", credit="2").close()
    gateway = Gateway(MADE, url, meters, enforce="wallet")
    assert (await gateway.ask(body)).status == 400


async def test_what_is_too_large_is_refused(url: str, meters: list[TokenMeter]) -> None:
    funded(url, "acme", credit="2").close()
    gateway = Gateway(MADE, url, meters, enforce="wallet", body_bytes_max=1000)
    assert (await gateway.ask({**ASKED, "prompt": "x" * 2000})).status == 413


async def test_a_poll_costs_nothing(url: str, meters: list[TokenMeter]) -> None:
    funded(url, "acme", credit="0").close()
    gateway = Gateway(answering(200, JSON, [b"{}"]), url, meters, enforce="wallet")
    scope = scope_of("GET", "/v1/videos/video_1", [("x-who", "acme")])
    assert (await ask(gateway.app, scope)).status == 200


async def test_a_quota_is_what_the_plan_includes(url: str, meters: list[TokenMeter]) -> None:
    funded(url, "acme", credit="0", included=3).close()
    gateway = Gateway(MADE, url, meters, enforce="quota")
    answers = await asyncio.gather(*(gateway.ask() for _ in range(8)))
    assert sorted(a.status for a in answers) == [200] * 3 + [429] * 5
    refused = next(a for a in answers if a.status == 429)
    assert "Images" in json.loads(refused.body)["error"]["message"]
    assert int(refused.headers["retry-after"]) > 0
    gateway.settled()
    later = Gateway(MADE, url, meters, enforce="quota")  # another process, later
    assert (await later.ask()).status == 429


async def test_limits_hold_for_all_processes_of_a_database(
    url: str, meters: list[TokenMeter]
) -> None:
    limit = Limit(per="day", requests=3)
    one, other = (Gateway(MADE, url, meters, limits=[limit]) for _ in range(2))
    answers = [await gateway.ask() for gateway in (one, other, one, other)]
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert (await one.ask(who="globex")).status == 200  # counted by customer


@pytest.mark.parametrize(
    "limit",
    [
        Limit(per="month", money=Decimal("0.02"), by=("model",)),
        Limit(per="month", tokens=600, by=("customer",)),
    ],
)
async def test_what_was_used_counts_and_not_what_was_expected(
    url: str, meters: list[TokenMeter], limit: Limit
) -> None:
    usage = {"input_tokens": 10, "output_tokens": 280, "total_tokens": 290}
    body = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}], "usage": usage})
    gateway = Gateway(answering(200, JSON, [body.encode()]), url, meters, limits=[limit])
    statuses: list[int] = []
    for _ in range(4):
        statuses.append((await gateway.ask()).status)
        assert SETTLER.drain(10)
    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_a_function_of_ones_own_decides(url: str, meters: list[TokenMeter]) -> None:
    seen: list[Ask] = []

    def decide(call: Ask) -> Any:
        seen.append(call)
        return {"acme": None, "globex": "Not today.", "evil": Refusal(429, "Slowly.", 7)}[
            call.customer or ""
        ]

    gateway = Gateway(MADE, url, meters, enforce=decide)
    answers = [await gateway.ask(who=who) for who in ("acme", "globex", "evil")]
    assert [a.status for a in answers] == [200, 402, 429]
    assert answers[2].headers["retry-after"] == "7"
    assert "Not today." in answers[1].body.decode()
    assert seen[0].model == "gpt-image-1"
    assert seen[0].quote is not None


@pytest.mark.parametrize("status", [403, 404, 500, 504])
async def test_a_function_of_ones_own_chooses_the_status(
    url: str, meters: list[TokenMeter], status: int
) -> None:
    def refused(_: Ask) -> Refusal:
        return Refusal(status, "Not here.")

    gateway = Gateway(MADE, url, meters, enforce=refused)
    for path in (IMAGE_PATH, "/v1/messages", "/v1beta/models/gemini-3.5-flash:generateContent"):
        fields = {**ASKED, "messages": [], "contents": []}
        answered = await gateway.ask(fields, path=path)
        assert answered.status == status
        assert json.loads(answered.body)["error"]["message"] == "Not here."
    assert Refusal(status, "").headers("aws")["x-amzn-errortype"]


def test_an_unknown_rule_is_refused_at_start(url: str, meters: list[TokenMeter]) -> None:
    with pytest.raises(ConfigurationError, match="enforce='money' is unknown"):
        Gateway(MADE, url, meters, enforce="money")
    with pytest.raises(ConfigurationError, match="no local engine"):
        TokenMeterMiddleware(
            MADE, customer=lambda _r: "acme", meter=TokenMeter("memory:"), enforce="wallet"
        )
    twice: Any = {"requests": 1, "tokens": 1}
    negative: Any = {"requests": -1}
    nothing: Any = {}
    text: Any = {"requests": "60"}
    flag: Any = {"tokens": True}
    for wrong in (nothing, twice, negative, text, flag):
        with pytest.raises(ConfigurationError):
            Limit(per="day", **wrong)


PATHS = {
    "/v1/chat/completions": "insufficient_quota",
    "/v1/messages": "billing_error",
    "/v1beta/models/gemini-3.5-flash:generateContent": "FAILED_PRECONDITION",
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_refusal_speaks_the_callers_dialect(
    url: str, meters: list[TokenMeter], path: str
) -> None:
    def never(_ask: Ask) -> bool:
        return False

    gateway = Gateway(MADE, url, meters, enforce=never)
    answered = await gateway.ask({"model": "m", "messages": [], "contents": []}, path=path)
    assert answered.status == 402
    assert PATHS[path] in answered.body.decode()


async def test_a_price_is_told_before_the_call(url: str, meters: list[TokenMeter]) -> None:
    funded(url, "acme", credit="2").close()

    async def never(_scope: Scope, _receive: Receive, send: Send) -> None:
        await reply(send, 500, [], [b"it was sent"])

    gateway = Gateway(never, url, meters)
    direct = await gateway.ask(ASKED, path="/tokenmeter/preview")
    scope = scope_of("POST", IMAGE_PATH, [("x-who", "acme"), ("x-tokenmeter-preview", "true")])
    switched = await ask(gateway.app, scope, json.dumps(ASKED).encode())
    enveloped = await gateway.ask({"path": IMAGE_PATH, "body": ASKED}, path="/tokenmeter/preview")
    for answered in (direct, switched, enveloped):
        assert answered.status == 200
        quote = json.loads(answered.body)
        assert quote["charge"] == {
            "low": "0.5",
            "expected": "0.5",
            "high": "0.5",
            "currency": "usd",
        }
        assert quote["model"] == "gpt-image-1"
    gateway.settled()
    assert not gateway.meter.engine.events().events


def test_money_is_counted_as_it_was_written() -> None:
    written: Any = 0.1
    assert Limit(per="day", money=written).most == Decimal("0.1")
    wrong: Any
    for wrong in (written, "0.1", Decimal(0)):
        with pytest.raises(ConfigurationError, match="floor_price"):
            Enforcement(floor_price=wrong)


async def test_a_preview_wants_a_post_with_a_body(url: str, meters: list[TokenMeter]) -> None:
    gateway = Gateway(MADE, url, meters)
    asked = await ask(gateway.app, scope_of("GET", "/tokenmeter/preview"))
    assert asked.status == 405
    assert "by POST" in json.loads(asked.body)["error"]["message"]
    for nothing in (b"no json", b"[]", b"5", b"{}"):
        assert (await gateway.ask(nothing, path="/tokenmeter/preview")).status == 400


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"model":"no such model","prompt":"x"}'])
async def test_a_price_that_nobody_knows_is_said_so(
    url: str, meters: list[TokenMeter], body: bytes
) -> None:
    gateway = Gateway(MADE, url, meters)
    answered = await gateway.ask(body or b" ", path="/tokenmeter/preview")
    assert answered.status in {200, 400}
    if answered.status == 200:
        assert json.loads(answered.body)["cost"] is None
