"""The cassettes are made up, and honest: what they count adds up and fits what they say."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parents[1] / "cassettes"
NAMES = sorted(path.stem for path in HERE.glob("*.yaml"))
BYTES_PER_TOKEN = (3, 7)  # of English text
SAID = {"content", "text", "name", "arguments"}
HEADERS = {"content-type", "retry-after-ms"}


def exchanges(name: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
    return content["interactions"]  # type: ignore[no-any-return]


def payloads(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    """The JSON body, or the events of a stream."""
    body: str = exchange["response"]["body"]["string"]
    if not body.startswith(("data:", "event:")):
        return [json.loads(body)]
    lines = [line[6:] for line in body.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def usages(value: object) -> Iterator[dict[str, Any]]:
    """Every usage object, at whatever depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"usage", "usageMetadata"} and inner:
                yield inner
            yield from usages(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from usages(inner)


def said(value: object) -> int:
    """The bytes of text that an answer says."""
    if isinstance(value, dict):
        own = [v for k, v in value.items() if k in SAID and isinstance(v, str)]
        return sum(map(len, own)) + sum(said(v) for v in value.values())
    return sum(map(said, value)) if isinstance(value, list) else 0


def written_tokens(usage: dict[str, Any]) -> int:
    """The tokens of the text alone: thoughts are counted, not said."""
    if "candidatesTokenCount" in usage:
        return int(usage["candidatesTokenCount"])
    if "outputTokens" in usage:
        return int(usage["outputTokens"])
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    made: int = usage.get("completion_tokens") or usage["output_tokens"]
    reasoned: int = details.get("reasoning_tokens", 0)
    return made - reasoned


@pytest.mark.parametrize("name", NAMES)
def test_totals_are_the_sums_of_their_parts(name: str) -> None:
    for usage in usages([payloads(exchange) for exchange in exchanges(name)]):
        given = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
        made = usage.get("completion_tokens") or usage.get("output_tokens") or 0
        if "total_tokens" in usage:
            assert usage["total_tokens"] == given + made
        for side, whole in (("prompt", given), ("input", given), ("completion", made)):
            for part in (usage.get(f"{side}_tokens_details") or {}).values():
                assert part <= whole
        if "cache_creation" in usage:
            split = usage["cache_creation"].values()
            assert sum(split) == usage["cache_creation_input_tokens"]
        if "totalTokens" in usage:
            assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
        if "totalTokenCount" in usage:
            parts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
            assert usage["totalTokenCount"] == sum(usage[part] for part in parts)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "openai_image"])
def test_an_answer_has_as_many_tokens_as_its_text_can_have(name: str) -> None:
    low, high = BYTES_PER_TOKEN
    for exchange in exchanges(name):
        events = payloads(exchange)
        found = list(usages(events))
        if not found or events[-1].get("type") == "error":
            continue
        tokens = written_tokens(found[-1])
        assert low * tokens <= said(events) <= high * tokens + 10


@pytest.mark.parametrize("name", NAMES)
def test_no_cassette_holds_a_key_or_a_header_that_is_not_needed(name: str) -> None:
    for exchange in exchanges(name):
        assert set(exchange["request"]["headers"]) <= {"content-type"}
        assert set(exchange["response"]["headers"]) <= HEADERS
    text = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
    assert not any(word in text for word in ("sk-", "AIza", "Bearer", "api-key", "org-"))


def test_the_cassettes_are_what_their_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    write: Any = importlib.import_module("write")
    assert sorted(write.CASSETTES) == NAMES
    for name, content in write.CASSETTES.items():
        kept = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
        assert write.written(content) == kept, f"run python cassettes/write.py: {name} differs"
