"""What a decorated function returns unfinished is read as it passes, and keeps its type."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_decorator import quiet as quiet  # the fixture
from tests.capture.test_openai_lifecycle import ASK, events_of, only
from tests.capture.test_returned import CHAT
from tokenmeter import Event, TokenMeter

CHUNKS: list[dict[str, Any]] = [
    json.loads(chunk.removeprefix(b"data: ")) for chunk in wire.chat_stream().chunks[:-1]
]


def assert_folded(event: Event) -> None:
    found = event.properties
    assert (found["input_tokens"], found["output_tokens"]) == (9, 6)
    assert (found["outcome"], found["usage_source"]) == ("success", "reported")
    assert event.event_name == "text_generated"


class Words:
    """An iterator of a library without a tap, with things of its own."""

    def __init__(self, chunks: list[Any]) -> None:
        self._chunks = iter(chunks)
        self.closed = False

    def __iter__(self) -> Words:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)

    def __enter__(self) -> Words:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


def test_the_chunks_of_an_iterator_are_folded_and_it_keeps_its_type(quiet: TokenMeter) -> None:
    for made in (Words(CHUNKS), iter([ChatCompletionChunk.model_validate(c) for c in CHUNKS])):
        meter = TokenMeter("memory:")
        words = meter.metered(customer="acme")(lambda made=made: made)()
        assert isinstance(words, type(made))
        assert len(list(words)) == len(CHUNKS)
        assert_folded(only(meter))
        meter.shutdown()


def test_with_an_iterator_in_hand_it_is_still_watched(quiet: TokenMeter) -> None:
    original = Words(CHUNKS)
    with quiet.metered(lambda: original)() as words:
        for _ in words:
            pass
    assert original.closed
    assert words.closed
    assert_folded(only(quiet))


def test_an_iterator_that_is_dropped_or_raises_is_recorded_once(quiet: TokenMeter) -> None:
    words = quiet.metered(lambda: Words(CHUNKS))()
    next(words)
    del words
    gc.collect()

    def failing() -> Iterator[Any]:
        return map(divmod, [1], [0])

    with pytest.raises(ZeroDivisionError):
        next(quiet.metered(failing)())
    gc.collect()
    found = [event.properties["outcome"] for event in events_of(quiet)]
    assert found == ["cancelled", "failed"]


async def test_an_async_iterator_and_an_awaitable_object_are_watched(quiet: TokenMeter) -> None:
    class Later:
        """What a library may return: awaited or iterated over."""

        def __init__(self) -> None:
            self._left = list(CHUNKS)

        def __await__(self) -> Any:
            yield from ()
            return CHAT

        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop(0)

    both = quiet.metered(Later)
    assert isinstance(both(), Later)
    assert await both() == CHAT
    assert [chunk async for chunk in both()] == CHUNKS
    first, second = events_of(quiet)
    assert first.properties["output_tokens"] == 2
    assert_folded(second)


def test_streams_of_the_sdks_that_were_seen_are_handed_on_as_they_are(quiet: TokenMeter) -> None:
    chat = openai.OpenAI(api_key="k", http_client=Player([wire.chat_stream()]).client())
    claude = anthropic.Anthropic(api_key="k", http_client=Player([wire.message_stream()]).client())

    def stream() -> Any:
        return chat.chat.completions.create(**ASK, stream=True)

    made = quiet.metered(stream)()
    assert type(made) is openai.Stream
    assert len(list(made)) == len(wire.WORDS) + 1
    ask: Any = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": [], "stream": True}

    def message_stream() -> Any:
        return claude.messages.create(**ask)

    message = quiet.metered(message_stream)()
    assert type(message) is anthropic.Stream
    assert list(message)[-1].type == "message_stop"
    assert [event.properties["provider"] for event in events_of(quiet)] == ["openai", "anthropic"]
