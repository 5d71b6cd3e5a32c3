"""An answer that comes whole is metered without an exchange, and the same as with one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.test_corpus import replayed
from tests.asgi.upstream import read_all
from tests.capture.play import Answer, Player
from tests.corpus import Exchange, exchanges
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware, reading
from tokenmeter.asgi.incoming import App, Receive, Send
from tokenmeter.asgi.incoming import Scope as Connection
from tokenmeter.attribution import NO_ATTRIBUTION, Note, Repeats, Scope
from tokenmeter.capture.opening import open_exchange
from tokenmeter.capture.whole import kept_at_once
from tokenmeter.event import Property
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.told import TOLD_MAX, ToldCosts
from tokenmeter.providers import openai_plain

PATH = "/v1/chat/completions"
URL = "https://api.openai.com" + PATH
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
# Each attempt has others; and an id that was announced is not flagged as reused.
OWN = {"call_id", "run_id", "id_reused"}
FAST_MIN = 10  # of OpenAI's chats


def completion(number: int) -> bytes:
    usage = {"prompt_tokens": 8, "completion_tokens": number, "total_tokens": 8 + number}
    choice = {"index": 0, "message": {"role": "assistant", "content": "words"}}
    told = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1793491200}
    more = {"model": "gpt-4o-mini", "choices": [choice], "usage": usage}
    return json.dumps({**told, **more}).encode()


def pieces(
    status: int, headers: dict[str, str], body: bytes, sizes: Sequence[int], *, ends: bool
) -> App:
    """Answer in pieces of these sizes and the rest; `ends`: the last one says that it is."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def app(_scope: Connection, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await send({"type": "http.response.start", "status": status, "headers": raw})
        left = body
        for size in sizes:
            given, left = left[:size], left[size:]
            await send({"type": "http.response.body", "body": given, "more_body": True})
        await send({"type": "http.response.body", "body": left, "more_body": not ends})
        if not ends:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def chat(body: bytes, sizes: Sequence[int] = (), *, ends: bool = True, coded: str = "") -> App:
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    if coded:
        headers["content-encoding"] = coded
    return pieces(200, headers, body, sizes, ends=ends)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The exchanges that were opened to read an answer."""
    found: list[object] = []

    def spy(*given: Any, **options: Any) -> object:
        found.append(open_exchange(*given, **options))
        return found[-1]

    monkeypatch.setattr(reading, "open_exchange", spy)
    return found


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


def events_of(meter: TokenMeter) -> list[Event]:
    assert meter.flush(30)
    found: list[Event] = meter.backend.events
    return found


async def asked(meter: TokenMeter, app: App, headers: Sequence[tuple[str, str]] = ()) -> Answered:
    gateway = TokenMeterMiddleware(app, customer=lambda _request: "acme", meter=meter)
    kind = ("content-type", "application/json")
    return await ask(gateway, scope_of("POST", PATH, [kind, *headers]), ASKED)


def facts(event: Event) -> dict[str, Any]:
    return {name: value for name, value in event.properties.items() if name not in OWN}


async def told(exchange: Exchange, sizes: Sequence[int]) -> tuple[list[Any], bytes]:
    """Return what a meter that has seen a recording before makes of it, in these pieces."""
    response, body = exchange.response, exchange.body
    length = {"content-length": str(len(body))}
    headers = {k: v for k, v in response["headers"].items() if k.lower() != "content-length"}
    meter = TokenMeter("memory:")
    try:
        app = pieces(response["status"], {**headers, **length}, body, sizes, ends=True)
        await replayed(meter, exchange, app)
        answered = await replayed(meter, exchange, app)
        found = [(e.event_name, facts(e)) for e in events_of(meter)]
    finally:
        meter.shutdown()
    return found, answered.body


@pytest.mark.parametrize("exchange", exchanges())
async def test_each_recording_is_metered_as_by_an_exchange(exchange: Exchange) -> None:
    whole, body = await told(exchange, ())
    piecemeal, _ = await told(exchange, (7,))
    assert body == exchange.body
    assert whole == piecemeal


async def test_recorded_chats_take_the_short_way(opened: list[object]) -> None:
    recorded: list[Exchange | None] = [one.values[0] for one in exchanges("openai")]
    chats = [one for one in recorded if one is not None and one.api == "chat.completions"]
    if not chats:
        pytest.skip("no recordings here")
    fast = 0
    for exchange in chats:
        opened.clear()
        await told(exchange, ())
        fast += len(opened) < 2
    assert fast >= FAST_MIN


async def seen_before(meter: TokenMeter, opened: list[object]) -> None:
    """Let a meter know what is asked for."""
    await asked(meter, chat(completion(1)))
    opened.clear()


@pytest.mark.parametrize(
    ("sizes", "ends"), [((), True), ((), False), ((0,), True)], ids=["one", "end behind", "none"]
)
async def test_a_usual_answer_in_one_piece_takes_no_exchange(
    meter: TokenMeter, opened: list[object], sizes: Sequence[int], ends: bool
) -> None:
    await seen_before(meter, opened)
    body = completion(7)
    answered = await asked(meter, chat(body, sizes, ends=ends))
    assert answered.body == body
    assert len(opened) == len(sizes)
    event = events_of(meter)[-1]
    assert event.properties["output_tokens"] == 7
    assert answered.headers["x-tokenmeter-event-id"] == event.event_id
    assert json.loads(answered.headers["x-tokenmeter-usage"])["output_tokens"] == 7


async def test_each_retry_that_the_sdk_counts_is_told(
    meter: TokenMeter, opened: list[object]
) -> None:
    await seen_before(meter, opened)
    await asked(meter, chat(completion(7)), [("x-stainless-retry-count", "2")])
    assert not opened
    assert events_of(meter)[-1].properties["attempt"] == 3


UNUSUAL: dict[str, Callable[[bytes], App]] = {
    "a failure": lambda body: pieces(500, {"content-length": str(len(body))}, body, (), ends=True),
    "an encoding": lambda body: chat(body, coded="identity"),
    "another form": lambda body: chat(body.replace(b'"usage"', b'"cost":1,"used"')),
    "a longer body than is told": lambda body: pieces(
        200, {"content-length": str(len(body) - 1)}, body, (len(body) - 1,), ends=True
    ),
    "no JSON": lambda body: chat(b"x" + body),
}


@pytest.mark.parametrize("app", UNUSUAL.values(), ids=list(UNUSUAL))
async def test_what_is_unusual_is_one_event_as_ever(
    meter: TokenMeter, opened: list[object], app: Callable[[bytes], App]
) -> None:
    await seen_before(meter, opened)
    answered = await asked(meter, app(completion(7)))
    _, event = events_of(meter)
    assert event.properties["outcome"] == ("success" if answered.status == 200 else "failed")


async def test_an_application_that_stops_before_the_body_leaves_one_event(
    meter: TokenMeter,
) -> None:
    async def app(_scope: Connection, receive: Receive, send: Send) -> None:
        await read_all(receive)
        length = [(b"content-length", b"20"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        raise KeyError("gone")

    with pytest.raises(KeyError):
        await asked(meter, app)
    (event,) = events_of(meter)
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", "KeyError")


async def test_an_application_that_forgets_the_body_leaves_one_event(meter: TokenMeter) -> None:
    async def app(_scope: Connection, receive: Receive, send: Send) -> None:
        await read_all(receive)
        length = [(b"content-length", b"20"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": length})

    await asked(meter, app)
    (event,) = events_of(meter)
    assert event.properties["outcome"] == "cancelled"


async def test_a_call_that_is_made_after_the_headers_is_not_counted_twice(
    meter: TokenMeter, opened: list[object]
) -> None:
    await seen_before(meter, opened)
    body = completion(7)
    player = Player([Answer(200, {"content-type": "application/json"}, [body])])
    length = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    async with player.async_client() as client:
        meter.wrap(client)

        async def app(_scope: Connection, receive: Receive, send: Send) -> None:
            await read_all(receive)
            await send({"type": "http.response.start", "status": 200, "headers": length})
            answer = await client.post(URL, content=ASKED)
            await send({"type": "http.response.body", "body": answer.content})

        answered = await asked(meter, app)
    assert answered.body == body
    assert not opened
    assert len(events_of(meter)) == 2


@pytest.mark.parametrize("where", ["the reading", "the keeping"])
async def test_a_fault_of_ours_leaves_the_answer_as_it_is(
    meter: TokenMeter, opened: list[object], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    await seen_before(meter, opened)

    def stumble(*_given: object) -> None:
        raise RuntimeError(where)

    if where == "the reading":
        monkeypatch.setattr(openai_plain, "_settled", stumble)
    else:
        monkeypatch.setattr(meter, "keep", stumble)
    body = completion(7)
    answered = await asked(meter, chat(body))
    assert answered.body == body
    assert meter.faults > 0
    assert len(events_of(meter)) == (2 if where == "the reading" else 1)


async def test_an_event_whose_cost_was_told_is_priced_once(
    meter: TokenMeter, opened: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    await seen_before(meter, opened)
    assert meter.flush(30)
    priced: list[Event] = []
    real = PriceBook.with_cost

    def spy(book: PriceBook, event: Event) -> dict[str, Property]:
        priced.append(event)
        return real(book, event)

    monkeypatch.setattr(PriceBook, "with_cost", spy)
    answered = await asked(meter, chat(completion(1000)))
    event = events_of(meter)[-1]
    assert answered.headers["x-tokenmeter-cost"] == event.properties["cost_usd"]
    assert [one.event_id for one in priced] == [event.event_id]


def test_what_was_told_of_one_event_is_not_taken_for_another(meter: TokenMeter) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5}
    told = meter.record("text_generated", usage, provider="openai", model="gpt-4o-mini")
    assert meter.cost_told(told) is not None
    other = told.with_properties({"input_tokens": 1000})
    assert meter.priced(other) == meter.prices.priced(other)
    assert meter.priced(told) == meter.prices.priced(told)


def test_only_so_many_told_costs_are_kept(meter: TokenMeter) -> None:
    told = ToldCosts()
    usage: dict[str, Property] = {"input_tokens": 10, "output_tokens": 5}
    facts = {"provider": "openai", "model": "gpt-4o-mini", "operation": "chat", **usage}
    now = datetime.now(UTC)
    events = [Event("text_generated", f"e{n}", "acme", now, facts) for n in range(TOLD_MAX + 2)]
    for event in events:
        told.cost(event, meter.prices)
    assert told.taken(events[0]) is None
    assert told.taken(events[-1]) == meter.prices.priced(events[-1])
    assert told.taken(events[-1]) is None


OURS = ["x-tokenmeter-cost", "X-Tokenmeter-Cost", "x_tokenmeter_cost", "X-TOKENMETER_cost"]


@pytest.mark.parametrize("name", OURS)
async def test_a_header_of_ours_is_taken_out_in_any_spelling(meter: TokenMeter, name: str) -> None:
    body = completion(7)
    length = {"content-length": str(len(body)), "content-type": "application/json"}
    gateway = TokenMeterMiddleware(
        pieces(200, {**length, name: "forged"}, body, (), ends=True),
        customer=lambda request: request.headers.get(name.lower(), "nobody"),
        meter=meter,
    )
    answered = await ask(gateway, scope_of("POST", PATH, [(name, "forged")]), ASKED)
    assert "forged" not in answered.headers.values()
    assert events_of(meter)[-1].external_customer_id == "nobody"


def test_a_call_within_others_or_after_a_failure_takes_an_exchange(meter: TokenMeter) -> None:
    unread: Any = None  # neither the request nor the answer is looked at
    inner, failed = (Scope(outer, NO_ATTRIBUTION) for outer in (Scope(None, NO_ATTRIBUTION), None))
    repeats = Repeats(b"", NO_ATTRIBUTION, None, meter.key)
    failed.leave_note(Note(repeats, "call_1", 1, "evt_1", 0.0))
    for scope in (inner, failed):
        assert not kept_at_once(meter, scope, unread, {}, b"")
