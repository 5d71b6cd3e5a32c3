"""Local token counts: exact for OpenAI's text, estimates that say so elsewhere."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import sys
from importlib import resources
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import CORPUS, Exchange, load
from tokenmeter.pricing import bpe
from tokenmeter.pricing.counting import Count, count_input, format_of
from tokenmeter.pricing.prompt import read_prompt


def counted(model: str, body: dict[str, Any], provider: str = "") -> Count:
    count = count_input(model, body, provider)
    assert count is not None
    return count


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def reference(encoding: str) -> tiktoken.Encoding:
    """OpenAI's own tokenizer, over the vocabulary that the extra ships."""
    data = (resources.files("bpe_openai.data") / f"{encoding}.tiktoken.gz").read_bytes()
    pairs = (line.split() for line in gzip.decompress(data).splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    registry: Any = importlib.import_module("bpe_openai.registry")
    pattern: str = getattr(registry, encoding)()["pat_str"]
    return tiktoken.Encoding(encoding, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


@pytest.fixture(scope="module", params=[bpe.NEW, bpe.OLD])
def pair(request: pytest.FixtureRequest) -> tuple[bpe.Counter, tiktoken.Encoding]:
    count = bpe.counter(request.param)
    assert count is not None
    return count, reference(request.param)


texts = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="aàзя中文 \n\t09.,'!🙂é", max_size=300),
    st.lists(st.sampled_from(["def ", "x = 1\n", "don't", " The", "  ", "12345", "://"])).map(
        "".join
    ),
)


@given(text=texts)
def test_the_counter_counts_what_openais_own_tokenizer_counts(
    pair: tuple[bpe.Counter, tiktoken.Encoding], text: str
) -> None:
    count, theirs = pair
    assert count(text) == len(theirs.encode_ordinary(text))


def test_half_a_character_is_counted_not_refused() -> None:
    count = bpe.counter(bpe.NEW)
    assert count is not None
    assert count("a\ud800b") >= 2


def test_a_text_is_counted_once_and_never_kept() -> None:
    asked: list[str] = []

    def count(text: str) -> int:
        asked.append(text)
        return len(text)

    remembered = bpe.Remembered(count)
    long = "a prompt " * 50
    assert [remembered(long), remembered("" + long), remembered("b" + long)] == [450, 450, 451]
    assert len(asked) == 2
    assert all(type(key) is tuple for key in remembered._known)
    assert long not in repr(remembered._known)
    assert remembered("short") == 5


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe, "REMEMBERED_MAX", 2)
    remembered = bpe.Remembered(len)
    for letter in "abc":
        remembered(letter * 300)
    assert len(remembered._known) == 1


def openai_texts() -> list[Any]:
    if not CORPUS.is_dir():
        return [pytest.param(None, marks=pytest.mark.skip(reason="no corpus"))]
    return [
        pytest.param(exchange, id=exchange.id)
        for exchange in load("openai")
        if exchange.api == "chat.completions"
        and exchange.expected.get("input_tokens")
        and exchange.response["status"] == 200
        and (prompt := read_prompt(body(exchange))) is not None
        and prompt.is_text
    ]


def body(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exchange.request_body or b"{}")
    return found


@pytest.mark.parametrize("exchange", openai_texts())
def test_openai_chat_text_is_counted_within_two_percent(exchange: Exchange) -> None:
    asked = body(exchange)
    count = counted(asked["model"], asked)
    assert count.exact
    reported = exchange.expected["input_tokens"]
    assert abs(count.expected - reported) <= reported * 0.02


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Where"},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "days": {"type": "array", "items": {"type": "integer"}},
                "more": {"anyOf": [{"type": "number"}, {"type": ["null", "boolean"]}]},
                "at": {"type": "object", "properties": {"lat": {"type": "number"}}},
            },
            "required": ["place"],
        },
    },
}


def test_messages_names_and_the_answers_beginning_are_counted() -> None:
    assert counted("gpt-4o", said("Hello")).range == (8, 8, 8)
    assert counted("gpt-5-mini", said("Hello")).expected == 7
    assert counted("gpt-4o-search-preview", said("Hello")).expected == 1
    named = {"messages": [{"role": "user", "name": "Ann", "content": "Hello"}]}
    assert counted("gpt-4o", named).expected == 8 + 2
    assert counted("ft:gpt-4o:acme::1", said("Hello")).exact


def test_the_responses_format_is_counted_as_chat() -> None:
    assert counted("gpt-4o", {"input": "Hello"}).expected == 8
    item = {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    assert counted("gpt-4o", {"input": [item]}).expected == 8
    assert counted("gpt-4o", {"input": "Hello", "instructions": "Be brief"}).expected == 14


def test_texts_to_embed_are_counted_alone() -> None:
    count = counted("text-embedding-3-small", {"input": ["Hello", "Hello there"]})
    assert (count.expected, count.exact) == (3, True)


def test_tools_make_a_count_an_estimate() -> None:
    plain, tooled = (
        counted("gpt-4o", said("Hi")),
        counted("gpt-4o", {**said("Hi"), "tools": [TOOL]}),
    )
    assert not tooled.exact
    assert tooled.low < tooled.expected < tooled.high
    assert 40 < tooled.expected - plain.expected < 100
    assert "estimated" in tooled.basis


def test_a_schema_of_the_answer_counts_where_it_is_part_of_the_prompt() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert counted("gpt-4o", {**said("Hi"), "response_format": schema}).expected > 8
    text = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    assert counted("gpt-4o", {"input": "Hi", "text": text}).expected > 8
    gemini = {"contents": "Hi", "generationConfig": {"responseSchema": {"type": "OBJECT"}}}
    assert counted("gemini-2.5-flash", gemini).expected == 2


def test_vertex_counts_words_of_tools_where_the_gemini_api_counts_declarations() -> None:
    asked = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "tools": [{"functionDeclarations": [TOOL["function"]]}],
    }
    vertex = counted("gemini-2.5-flash", asked, "google-vertex")
    assert vertex.expected < counted("gemini-2.5-flash", asked, "google").expected
    assert vertex == counted("gemini-2.0-flash", asked, "google")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-sonnet-4-5", "Claude"),
        ("anthropic.claude-3-haiku", "Claude"),
        ("gemini-2.5-flash", "Gemini"),
        ("openai/gpt-oss-120b", "gpt-oss"),
        ("mistral-large", "other"),
    ],
)
def test_other_families_are_estimated_and_say_so(model: str, name: str) -> None:
    count = counted(model, said("Hello, how are you today? " * 20))
    assert format_of(model).name == name
    assert not count.exact
    assert count.low < count.expected < count.high
    assert count.basis.startswith(f"estimate for {name} models")


def test_extended_thinking_costs_claude_a_few_tokens() -> None:
    thinking = {**said("Hi"), "thinking": {"type": "enabled", "budget_tokens": 1_024}}
    more = counted("claude-sonnet-4-5", thinking).expected
    assert more - counted("claude-sonnet-4-5", said("Hi")).expected == 28


@pytest.mark.parametrize(
    ("part", "note"),
    [
        ({"type": "input_audio", "input_audio": {"data": "x"}}, "input_audio"),
        ({"type": "document", "source": {"data": "x"}}, "document"),
        ({"inlineData": {"mimeType": "application/pdf", "data": "x"}}, "application"),
        ({"fileData": {"fileUri": "gs://x"}}, "fileData"),
        ({"text": "ok", "thoughtSignature": "x"}, "thoughts"),
        ({"type": "text", "text": "data:image/png;base64,xxx"}, "attachment"),
        ({"type": "text", "text": "x" * 5_000}, "attachment"),
    ],
)
def test_what_no_local_rule_counts_is_named(part: dict[str, Any], note: str) -> None:
    count = counted("gpt-4o", {"messages": [{"role": "user", "content": [part]}]})
    assert not count.exact
    assert count.high >= 20_000
    assert note in count.notes[0]


@pytest.mark.parametrize(
    "tool",
    [{"type": "web_search_20250305", "name": "web_search"}, {"googleSearch": {}}, {"type": "mcp"}],
)
def test_tools_that_the_provider_runs_are_named(tool: dict[str, Any]) -> None:
    count = counted("claude-sonnet-4-5", {**said("Hi"), "tools": [tool]})
    assert "what tools of the provider read is not known before" in count.notes[0]


def test_calls_of_earlier_turns_are_part_of_the_prompt() -> None:
    call = {"function": {"name": "search", "arguments": '{"query":"weather in Oslo"}'}}
    openai = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    claude = [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "name": "f", "input": {"a": "b c"}}],
        }
    ]
    gemini = [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": "b"}}}]}]
    assert counted("gpt-4o", {"messages": openai}).expected > 10
    assert counted("claude-sonnet-4-5", {"messages": claude}).expected > 6
    assert counted("gemini-2.5-flash", {"contents": gemini}).expected > 4


def test_a_request_without_a_prompt_has_no_count() -> None:
    assert count_input("gpt-4o", {"model": "gpt-4o"}) is None
    assert count_input("gpt-4o", {"messages": []}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
KEYS = ("messages", "input", "contents", "tools", "system", "text", "response_format", "thinking")


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_no_body_is_too_odd_to_be_counted(asked: dict[str, Any]) -> None:
    for model in ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"):
        count = count_input(model, asked)
        assert count is None or 0 <= count.low <= count.expected <= count.high


def test_a_prompt_nested_without_end_is_cut() -> None:
    deep: Any = "end"
    for _ in range(200):
        deep = [deep]
    assert counted("gpt-4o", {"messages": [{"role": "user", "content": deep}]}).expected < 10


def test_without_the_extra_the_size_of_the_text_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bpe_openai._bindings", None)
    bpe.counter.cache_clear()
    try:
        count = counted("gpt-4o", said("Hello, how are you today?"))
    finally:
        bpe.counter.cache_clear()
    assert not count.exact
    assert count.expected == 7 + 4 + 3
    assert count.basis == "estimate by the size of the text"
    assert "pip install 'tokenmeter[preview]'" in count.notes[-1]


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ([1, 2, 3], 3),
        ([[1, 2, 3], [4]], 4),
        ([15_339], 1),
        (["hello world", "x"], 3),
        ([True, False], 0),
    ],
)
def test_a_prompt_of_token_numbers_is_counted_by_their_number(
    given: list[Any], tokens: int
) -> None:
    for field, model in (("input", "text-embedding-3-small"), ("prompt", "gpt-3.5-turbo")):
        assert counted(model, {"model": model, field: given}).expected == tokens
        assert counted(model, {"model": model, field: given}).exact


def test_token_numbers_are_as_many_for_a_model_that_is_estimated() -> None:
    count = count_input("some-model", {"input": [[7] * 100]})
    assert count is not None
    assert count.range == (100, 100, 100)
