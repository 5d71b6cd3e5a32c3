"""Ollama's own API: lines of JSON, the last of which counts."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.capture.play import Answer, Player, chunks_of
from tests.providers.media import FLUSH_S, Json, asked, described, is_clean, read
from tokenmeter import Event, TokenMeter
from tokenmeter.pricing.pricebook import PriceBook

HOST = "http://localhost:11434"
CHAT = f"{HOST}/api/chat"
NAMED = "http://ollama"  # as it is called in the configuration
NAMED_CHAT = f"{NAMED}/api/chat"
ASK: Json = {"model": "llama3.2", "messages": [{"role": "user", "content": "Why?"}]}
HEAD: Json = {"model": "llama3.2", "created_at": "2026-11-20T10:00:00.123456789Z"}
END: Json = {**HEAD, "done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 7}
LINES = [
    {**HEAD, "message": {"role": "assistant", "content": word}, "done": False} for word in "abc"
]


def came(answers: list[Json], url: str = CHAT, size: int = 7, **ask: Any) -> Event:
    body = "".join(json.dumps(answer) + "\n" for answer in answers).encode()
    kind = "application/x-ndjson" if len(answers) > 1 else "application/json"
    meter = TokenMeter("memory:")
    player = Player([Answer(200, {"content-type": kind}, chunks_of(body, size))])
    try:
        assert meter.wrap(player.client(httpx2)).post(url, json={**ASK, **ask}).content == body
        assert meter.flush(FLUSH_S)
        event: Event
        (event,) = meter.backend.events
        return event
    finally:
        meter.shutdown()


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("answers", [[END], [*LINES, END]])
def test_the_last_line_counts(answers: list[Json], size: int) -> None:
    event = came(answers, size=size, stream=len(answers) > 1)
    assert (event.usage.input_tokens, event.usage.output_tokens) == (26, 7)
    assert event.usage.total_tokens == 33
    facts = event.properties
    assert (facts["provider"], facts["model"], facts["operation"]) == (
        "ollama",
        "llama3.2",
        "chat",
    )
    assert (facts["outcome"], facts["usage_source"]) == ("success", "reported")
    assert facts["cost_source"] == "unpriced"  # unless the user says what it costs


def test_a_model_of_ones_own_costs_what_its_user_says(tmp_path: Any) -> None:
    path = tmp_path / "own.yaml"
    row = '{provider: ollama, model: "*", metric: request_count, price: 0}'
    path.write_text(f"lists: [{{source: mine, as_of: 2026-11-20, prices: [{row}]}}]")
    assert PriceBook(path).price(came([END])).cost == 0


def test_a_stream_that_was_cut_says_that_its_usage_is_missing() -> None:
    facts = came(LINES).properties
    assert (facts["usage_source"], facts.get("input_tokens")) == ("missing", None)


def test_an_error_within_http_200_has_failed() -> None:
    event = came([LINES[0], {"error": "model runner has stopped: the prompt was ..."}])
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", "error")


@pytest.mark.parametrize(
    ("place", "answer", "tokens"),
    [
        ("embed", {"model": "m", "embeddings": [[0.1]], "prompt_eval_count": 8}, 8),
        ("embeddings", {"embedding": [0.1]}, None),
    ],
)
def test_embeddings_count_their_input(place: str, answer: Json, tokens: int | None) -> None:
    call = asked("POST", f"{NAMED}/api/{place}", {"model": "m", "input": "x"})
    assert (call.api.event_name, call.streamed) == ("embedding_created", False)
    reading = read(call, answer)
    assert (reading.state, reading.usage.input_tokens) == ("success", tokens)


def test_it_streams_unless_it_is_told_not_to() -> None:
    assert asked("POST", NAMED_CHAT, ASK).streamed
    assert asked("POST", f"{NAMED}/api/generate", {**ASK, "stream": True}).streamed
    assert not asked("POST", NAMED_CHAT, {**ASK, "stream": False}).streamed


def test_what_is_no_call_makes_no_event() -> None:
    assert described("GET", f"{NAMED}/api/tags") is None
    assert described("GET", NAMED_CHAT, ASK) is None
    assert described("POST", NAMED_CHAT, {}) is None
    assert described("POST", "http://elsewhere.test/api/chat", ASK) is None
    assert asked("POST", f"{NAMED}/v1/chat/completions", ASK).api.operation == "chat.completions"
    assert asked("POST", f"{NAMED}/v1/messages", ASK).api.operation == "messages"


@pytest.mark.parametrize("junk", [-1, "26", float("nan"), True, [], {"a": 1}, 10**30, 1.5])
def test_no_junk_becomes_a_number(junk: Any) -> None:
    reading = read(
        asked("POST", NAMED_CHAT, ASK), {**END, "prompt_eval_count": junk, "model": junk}
    )
    assert is_clean(reading)
    assert "input_tokens" not in reading.usage
    assert "invalid:prompt_eval_count" in reading.flags
