"""Make a call without us and with us, and compare what the user gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import httpx2
import openai
import pytest

from tests.capture.play import Answer, Player, chunks_of
from tokenmeter import Event, TokenMeter
from tokenmeter.usage import METRICS

URL = "https://api.openai.com/v1/chat/completions"
# With `include_usage` in the request nothing is edited: what comes is what the user gets.
STREAM: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": STREAM["messages"]}
NUMBER_MAX = 10**12
NUMBERS = METRICS | {"attempt"}  # the properties that are numbers

Call = Callable[[Any], Any]


class Alike:
    """
    Makes a call twice: ``alike(answer, call)`` fails unless the user gets the same.

    Returns the events of the metered one, before they are priced.
    """

    def __init__(self, meter: TokenMeter) -> None:
        self._meter = meter

    def __call__(self, answer: Answer, call: Call, library: ModuleType = httpx2) -> list[Event]:
        bare = came_of(call, Player([answer]).client(library))
        self._meter.instrument()
        try:
            with self._meter.run() as run:
                assert came_of(call, Player([answer]).client(library)) == bare
        finally:
            self._meter.uninstrument()
        assert self._meter.faults == 0, "tokenmeter was at fault"
        for event in run.events:
            assert_sound(event)
        return run.events


@pytest.fixture(scope="module")
def alike() -> Iterator[Alike]:
    """One meter for all calls of a module."""
    meter = TokenMeter("memory:")
    yield Alike(meter)
    meter.shutdown()


def came_of(call: Call, client: Any) -> Any:
    """What the user sees of a call: its value, or the error's type and text."""
    try:
        return call(client)
    except Exception as error:
        return type(error), str(error)


def whole(client: Any) -> Any:
    """Post a chat and read the answer at once."""
    answer = client.post(URL, json=ASK)
    return answer.status_code, answer.content, sorted(answer.headers.items())


def streamed(client: Any) -> Any:
    """Post a streaming chat and read the answer as it comes."""
    with client.stream("POST", URL, json=STREAM) as answer:
        return answer.status_code, b"".join(answer.iter_bytes()), sorted(answer.headers.items())


def through_openai(client: Any) -> Any:
    """The same as `whole`, through the SDK."""
    made = openai.OpenAI(api_key="k", http_client=client, max_retries=0)
    return repr(made.chat.completions.create(**ASK))


def streamed_through_openai(client: Any) -> Any:
    """The same as `streamed`, through the SDK."""
    made = openai.OpenAI(api_key="k", http_client=client, max_retries=0)
    return [repr(chunk) for chunk in made.chat.completions.create(**STREAM)]


def answer_of(body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
    """An answer in chunks of 100 bytes."""
    named = {"content-type": content_type} if content_type else {}
    return Answer(200, {**named, **headers}, chunks_of(body, 100))


def assert_sound(event: Event) -> None:
    """No junk among the numbers or the texts of an event, and it survives the journal."""
    for name, value in event.properties.items():
        if name in NUMBERS:
            assert type(value) in (int, Decimal), (name, value)
            assert 0 <= value <= NUMBER_MAX, (name, value)  # type: ignore[operator]
        else:
            assert isinstance(value, str), (name, value)
            assert value.isprintable(), (name, value)
    assert event.properties["usage_source"] in {"reported", "partial", "estimated", "missing"}
    assert Event.from_dict(json.loads(json.dumps(event.to_dict()))).usage == event.usage
