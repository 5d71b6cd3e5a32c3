"""Previews asked again with other texts: what was read before is used, what was said is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.pricing.events import NOON as AT
from tokenmeter import TokenMeter, previews
from tokenmeter.previews import HttpRequest
from tokenmeter.pricing.asked import Asked
from tokenmeter.pricing.keywords import asked_by_keywords
from tokenmeter.pricing.preview import Terms, quote
from tokenmeter.quoting import previews_of

TEXTS: tuple[dict[str, Any], ...] = (
    {"messages": [{"role": "user", "content": "Hello"}]},
    {"messages": [{"role": "user", "content": "Hello, hello, hello. " * 40}]},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "In parts"}]}]},
    {"messages": [{"role": "user", "content": "Hello"}], "system": "Be brief."},
    {"messages": [{"role": "user", "content": "Hello"}], "system": None},
    {"messages": []},
    {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
    {"contents": [{"role": "user", "parts": [{"text": "Hello " * 90}]}]},
)
MODELS = (
    ("openai", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash-image"),
    ("kling", "kling-v3-omni"),
    ("somebody", "some-model"),
)


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_a_text_is_counted_as_if_it_were_the_first_one_asked_for(
    meter: TokenMeter, provider: str, model: str
) -> None:
    for said in (*TEXTS, *reversed(TEXTS)):
        keywords: dict[str, Any] = {"max_tokens": 100, **said}
        found = meter.preview(provider=provider, model=model, **keywords)
        fresh: Asked = asked_by_keywords(provider, model, keywords, meter.prices.media)
        wanted = quote(fresh, Terms(AT), meter.prices)
        assert (found.cost, found.usage, found.basis, found.notes, found.counted) == (
            wanted.cost,
            wanted.usage,
            wanted.basis,
            wanted.notes,
            wanted.counted,
        )


def test_what_is_remembered_holds_no_text(meter: TokenMeter) -> None:
    for said in TEXTS:
        meter.preview(provider="openai", model="gpt-4o", max_tokens=100, **said)
    kept = previews_of(meter)._known("openai", "gpt-4o", {"max_tokens": 100, "messages": []})
    assert kept is not None
    assert "Hello" not in repr(kept)


@pytest.mark.parametrize("kind", [["text"], {"a": 1}, 7, None])
def test_a_part_of_an_odd_kind_is_quoted_by_what_it_holds(meter: TokenMeter, kind: object) -> None:
    odd = {"role": "user", "type": kind, "content": "Hello"}
    found = meter.preview(provider="openai", model="gpt-4o", max_tokens=9, messages=[odd])
    assert found.usage.input_tokens == 8


def assert_quoted_as_if_first(
    meter: TokenMeter, url: str, bodies: Sequence[dict[str, Any]]
) -> None:
    for body in (*bodies, *reversed(bodies)):
        asked = HttpRequest("POST", url, {}, json.dumps(body).encode())
        alone = TokenMeter("memory:")
        wanted, found = alone.preview_request(asked), meter.preview_request(asked)
        alone.shutdown()
        assert wanted is not None
        assert found == wanted


def test_a_request_that_asks_for_the_same_is_quoted_by_its_own_body(meter: TokenMeter) -> None:
    url = "https://api.openai.com/v1/chat/completions"
    bodies: list[dict[str, Any]] = [
        {"model": "gpt-4o", "messages": said["messages"], **more}
        for said in TEXTS[:4]
        for more in ({}, {"n": 3}, {"max_tokens": 7}, {"service_tier": "flex"}, {"stream": True})
    ]
    bodies.append({**bodies[0], "model": "gpt-4o-mini"})
    assert_quoted_as_if_first(meter, url, bodies)


OTHERS: dict[str, tuple[dict[str, Any], ...]] = {
    "https://api.openai.com/v1/responses": (
        {"model": "gpt-5-mini", "input": "Hello"},
        {"model": "gpt-5-mini", "input": [{"role": "user", "content": "Hello " * 30}]},
        {"model": "gpt-5-mini", "input": "Hello", "instructions": "Be brief."},
        {"model": "gpt-5-mini", "input": "Hello", "max_output_tokens": 33},
        {"model": "gpt-5-mini", "input": "Hello", "tools": [{"type": "web_search"}]},
        {"model": "gpt-5-mini", "input": "Hello", "tools": [{"type": "image_generation"}]},
        {"model": "gpt-5-mini", "input": "Hello", "background": True},
    ),
    "https://api.openai.com/v1/embeddings": (
        {"model": "text-embedding-3-small", "input": "Hello"},
        {"model": "text-embedding-3-small", "input": ["Hello", "you"], "dimensions": 256},
        {"model": "text-embedding-3-small", "input": [1, 2, 3]},
    ),
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent": (
        {"contents": [{"parts": [{"text": "Hello"}]}]},
        {"contents": [{"parts": [{"text": "Hello " * 30}]}], "generationConfig": {}},
        {"contents": [], "generationConfig": {"maxOutputTokens": 9}},
        {"contents": [], "generation_config": {"max_output_tokens": 7}},
        {"contents": [], "generationConfig": {"candidateCount": 2}},
        {"contents": [], "generationConfig": {"responseModalities": ["IMAGE"]}},
        {"contents": [], "serviceTier": "flex"},
    ),
}


@pytest.mark.parametrize("url", OTHERS)
def test_a_request_to_any_api_is_quoted_as_if_it_were_the_first(
    meter: TokenMeter, url: str
) -> None:
    assert_quoted_as_if_first(meter, url, OTHERS[url])


@pytest.mark.parametrize(
    "settings",
    [
        b'"temperature": NaN',
        b'"temperature": 1e999',
        b'"user": "\\ud83d"',
        b'"user": "\xed\xa0\x80"',
        b'"seed": 123456789012345678901234567890',
        b'"n": 1, "n": 2',
    ],
)
def test_an_odd_body_is_quoted_like_the_object_that_it_is(
    meter: TokenMeter, settings: bytes
) -> None:
    messages = b'"messages": [{"role": "user", "content": "Hello"}]'
    body = b'{"model": "gpt-4o", "max_tokens": 9, %s, %s}' % (settings, messages)
    url = "https://api.openai.com/v1/chat/completions"
    for _ in range(2):
        found = meter.preview_request(HttpRequest("POST", url, {}, body))
        wanted = meter.preview_request(HttpRequest("POST", url, {}, json.loads(body)))
        assert found is not None
        assert found == wanted
        assert found.usage.input_tokens == 8


@pytest.mark.parametrize("body", [b"{", b"{]", b'{"model": "gpt-4o"} more', b"{" * 9_999])
def test_a_broken_body_is_quoted_as_an_empty_one(meter: TokenMeter, body: bytes) -> None:
    url = "https://api.openai.com/v1/chat/completions"
    found = meter.preview_request(HttpRequest("POST", url, {}, body))
    assert found == meter.preview_request(HttpRequest("POST", url, {}, {}))


def test_calls_that_are_kept_read_are_bounded_and_hold_no_text(
    meter: TokenMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "ASKED_MAX", 3)
    url = "https://api.openai.com/v1/chat/completions"
    for tier in "abcdefgh":
        for text in ("Hello", "Hello, you there"):
            message = {"role": "user", "content": text}
            body = {"model": "gpt-4o", "service_tier": f"tier-{tier}", "messages": [message]}
            found = meter.preview_request(HttpRequest("POST", url, {}, json.dumps(body).encode()))
            assert found is not None
            assert found.usage.input_tokens == (8 if text == "Hello" else 11)
        kept = previews_of(meter)._called
        assert 1 <= len(kept) <= 3
        assert "Hello" not in repr(list(kept.values()))
