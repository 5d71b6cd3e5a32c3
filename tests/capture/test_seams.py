"""What the gateway builds on: exchanges that are watched, announced, discarded, replayed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2

import tokenmeter
from tokenmeter import TokenMeter
from tokenmeter.attribution import NO_ATTRIBUTION, Scope, entered, inner_scope
from tokenmeter.capture.eventids import EventIds
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.observation import provider_id
from tokenmeter.providers.base import NO_READING, Api, Call, Reading, settled_as_read

URL = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def answer(response_id: str = "chatcmpl-1") -> dict[str, Any]:
    return {
        "id": response_id,
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
    }


def client(meter: TokenMeter) -> httpx2.Client:
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, json=answer()))
    return meter.wrap(httpx2.Client(transport=transport))


def chunks() -> httpx2.Response:
    head = b'data: {"id":"chatcmpl-9","object":"chat.completion.chunk","choices":[]}\n\n'
    usage = (
        b'data: {"id":"chatcmpl-9","choices":[],"usage":'
        b'{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}\n\n'
    )
    parts = iter((head, usage, b"data: [DONE]\n\n"))
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=parts)


def test_a_scope_is_told_of_each_exchange_that_opens_inside_it() -> None:
    meter, seen = TokenMeter("memory:"), list[Exchange]()
    scope = inner_scope(meter=meter)
    scope.watch = seen.append
    with entered(scope), tokenmeter.attribute(customer="acme"):
        client(meter).post(URL, json=ASKED)
    assert [exchange.call.request_model for exchange in seen] == ["gpt-4o-mini"]
    meter.shutdown()


def test_a_discarded_exchange_leaves_no_event() -> None:
    meter = TokenMeter("memory:")
    scope = inner_scope(meter=meter)
    scope.watch = Exchange.discard
    with entered(scope):
        client(meter).post(URL, json=ASKED)
    assert meter.open_exchanges == set()
    meter.flush(30)
    assert meter.backend.events == []
    meter.shutdown()


def test_an_announced_id_is_the_one_of_the_event() -> None:
    """Before the answer tells its id, the attempt's own is announced, and stays."""
    meter, seen = TokenMeter("memory:"), list[Exchange]()
    scope = inner_scope(meter=meter)
    scope.watch = seen.append
    transport = httpx2.MockTransport(lambda _request: chunks())
    wrapped = meter.wrap(httpx2.Client(transport=transport))
    announced: list[str] = []
    with entered(scope), wrapped.stream("POST", URL, json={**ASKED, "stream": True}) as stream:
        announced += [seen[0].announce() for _ in stream.iter_raw()]
    meter.flush(30)
    (event,) = meter.backend.events
    assert set(announced) == {event.event_id}
    assert event.usage.output_tokens == 2
    meter.shutdown()


def test_an_id_is_announced_for_one_create_only() -> None:
    api = Api("chat.completions", "text_generated", lambda _: NO_READING, settled_as_read)
    call, told = Call("openai", replace(api, owns_ids=True)), Reading(response_id="chatcmpl-1")
    ids = EventIds()
    assert ids.claim(call, told, 200) == provider_id("openai", "chatcmpl-1")
    assert ids.claim(call, told, 200) is None
    assert ids.claim(replace(call, repeated=True), told, 200) is not None  # a poll of the first
    assert ids.claim(call, Reading(response_id="chatcmpl-2"), 500) is None  # it failed


def test_where_notes_are_kept_an_equal_call_after_a_success_is_its_next_attempt() -> None:
    meter = TokenMeter("memory:")
    kept = Scope(None, NO_ATTRIBUTION, meter=meter)
    kept.keeps_notes = True
    for _ in range(2):
        with entered(Scope(kept, NO_ATTRIBUTION, meter=meter)):
            client(meter).post(URL, json=ASKED)
    meter.flush(30)
    first, second = meter.backend.events
    assert first.properties["call_id"] == second.properties["call_id"]
    assert [e.properties["attempt"] for e in (first, second)] == [1, 2]
    assert second.properties["is_retry"] == "true"
    meter.shutdown()
