"""What is alike in a stream is not searched: what is read, passed on and counted is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import Exchange, exchanges, folder_names
from tests.providers.fold import as_request
from tokenmeter.capture import passed, sse
from tokenmeter.capture.likeness import likeness
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Api, find
from tokenmeter.providers.base import Request

HEAD: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
MORE = {"prompt_tokens": 7, "completion_tokens": 1000, "total_tokens": 1007}  # the largest counts
SPACED, TIGHT = (", ", ": "), (",", ":")
URL = ("POST", "api.openai.com", "/v1/chat/completions")


def chat_api() -> Api:
    adapter = find(*URL[1:])
    call = adapter and adapter.describe(Request(*URL, body={"model": "gpt-4o", "stream": True}))
    assert call
    return call.api


CHAT = chat_api()


def event(body: dict[str, Any], separators: tuple[str, str] = TIGHT) -> bytes:
    return b"data: " + json.dumps(body, separators=separators).encode() + b"\n\n"


def delta(text: str, separators: tuple[str, str] = TIGHT, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    return event({**HEAD, "choices": choices, "usage": None, **more}, separators)


def run(api: Api, chunks: list[bytes], *, strip: bool) -> tuple[Any, bytes, int]:
    reader, given = EventReader(api, strip_usage=strip), b""
    for chunk in chunks:
        given += chunk if reader.quiet(chunk) else reader.feed(chunk)
    given += reader.end()
    return reader.reading, given, reader.bytes_seen


def both(
    api: Api, chunks: list[bytes], patch: pytest.MonkeyPatch, *, strip: bool = False
) -> tuple[Any, Any]:
    with patch.context() as patched:
        patched.setattr(passed, "SAMPLE_BYTES_MAX", 0)  # learn at once
        fast = run(api, chunks, strip=strip)
        patched.setattr(sse, "COMPARED_MAX", 0)
        return fast, run(api, chunks, strip=strip)


TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(['"usage"', '"', "\\", "[DONE]", "data: "])
)
ODD = st.sampled_from(
    [
        event({**HEAD, "choices": [], "usage": USAGE}),
        event({**HEAD, "choices": [], "usage": USAGE}, SPACED),
        event({"error": {"message": "overloaded"}}),
        delta("x", usage=USAGE),
        delta("x", obfuscation="y", usage=MORE),
        delta("x", obfuscation="y", usage=MORE),
        b"data: [DONE]\n\n",
        b": ping\n\n",
        b"data: {\n",
    ]
)


@given(
    texts=st.lists(TEXTS, min_size=20, max_size=60),
    fillings=st.one_of(st.none(), st.lists(TEXTS, min_size=60, max_size=60)),
    odd=st.lists(st.tuples(st.integers(0, 60), ODD), max_size=4),
    separators=st.sampled_from([SPACED, TIGHT]),
    strip=st.booleans(),
)
def test_a_stream_is_read_and_passed_on_as_if_each_chunk_were_searched(
    texts: list[str],
    fillings: list[str] | None,
    odd: list[tuple[int, bytes]],
    separators: tuple[str, str],
    strip: bool,
) -> None:
    more = [{} if fillings is None else {"obfuscation": filling} for filling in fillings or texts]
    chunks = [delta(t, separators, **m) for t, m in zip(texts, more, strict=False)]
    for at, chunk in odd:
        chunks.insert(min(at, len(chunks)), chunk)
    with pytest.MonkeyPatch.context() as patch:
        fast, plain = both(CHAT, chunks, patch, strip=strip)
    assert fast == plain


@pytest.mark.parametrize("at", [5, 15, 39])
@pytest.mark.parametrize("more", [{}, {"obfuscation": "xy"}])
def test_usage_between_chunks_that_are_alike_is_seen(
    monkeypatch: pytest.MonkeyPatch, at: int, more: dict[str, Any]
) -> None:
    chunks = [delta(f"w{n}", **more) for n in range(40)]
    chunks.insert(at, delta("x", **more, usage=USAGE))
    fast, plain = both(CHAT, chunks, monkeypatch)
    assert fast == plain
    assert fast[0].usage.output_tokens == 9


def test_most_chunks_of_a_text_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[bytes] = []
    search = EventReader._search

    def noted(reader: EventReader, data: bytes) -> bool:
        searched.append(data)
        return search(reader, data)

    monkeypatch.setattr(EventReader, "_search", noted)
    chunks = [delta(f" word{n}", obfuscation="x" * (n % 7)) for n in range(1000)]
    run(CHAT, chunks, strip=False)
    assert len(searched) < 30


@pytest.mark.parametrize("kind", ["usage", "speech.audio.done"])
def test_the_kind_of_an_event_is_no_text(kind: str) -> None:
    one, other = (event({"type": f"speech.audio.{name}", "n": 1}) for name in ("begun", "delta"))
    assert likeness(one, other) is None
    one, other = delta("a"), delta("b")
    found = likeness(one, other)
    assert found is not None
    assert found.is_like(delta("c"))
    assert not found.is_like(delta("c", usage=USAGE))
    assert not found.is_like(event({**HEAD, kind: "c"}))


def test_a_chunk_that_ends_within_an_event_is_not_alike() -> None:
    found = likeness(delta("a"), delta("b"))
    assert found is not None
    assert found.is_like(delta("longer"))
    assert not any(found.is_like(delta("longer")[:cut]) for cut in range(len(delta("longer"))))


@pytest.mark.parametrize("exchange", exchanges(*folder_names()))
def test_each_recorded_stream_is_read_alike(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "event-stream" not in str(exchange.response["headers"]):
        pytest.skip("no stream")
    request = as_request(exchange)
    adapter = find(request.host, request.path)
    call = adapter.describe(request) if adapter else None
    if call is None:
        pytest.skip("not metered")
    chunks = [part + b"\n\n" for part in exchange.body.split(b"\n\n")[:-1]]
    fast, plain = both(call.api, chunks, monkeypatch)
    assert fast == plain
