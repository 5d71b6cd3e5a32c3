"""`tokenmeter preview`: the quote of a call, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.engine.made import made
from tokenmeter.cli import app
from tokenmeter.engine.local import Engine


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path))
    monkeypatch.delenv("TOKENMETER_BACKEND", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["preview", *arguments])


def quoted(*arguments: str) -> dict[str, Any]:
    result = run("--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


DALLE = ("--provider", "openai", "--model", "dall-e-3")


@pytest.mark.parametrize(
    "said",
    [
        ("--size", "1024x1024", "--quality", "hd", "--n", "2"),
        ("--size=1024x1024", "--quality=hd", "--n=2"),
        ("size=1024x1024", "quality=hd", "n=2"),
    ],
)
def test_parameters_follow_as_options_or_as_names_with_values(said: tuple[str, ...]) -> None:
    found = quoted(*DALLE, *said)
    assert found["cost"] == {"low": "0.16", "expected": "0.16", "high": "0.16", "currency": "USD"}
    assert found["exact"] is True
    assert found["charge"] is None
    assert found["lines"] == [
        {"metric": "image_count", "quantity": 2, "rate": "0.08", "per": 1, "amount": "0.16"}
    ]


def test_a_person_gets_a_table_with_what_it_rests_on() -> None:
    result = run(
        "--provider", "openai", "--model", "gpt-4o", "--prompt", "Hi", "--max-tokens", "9"
    )
    assert result.exit_code == 0, result.output
    assert "expected" in result.output
    assert "0.00011" in result.output  # 8 x 0.0000025 + 9 x 0.00001, not rounded
    assert "Based on: token prices; input: exact token count" in result.output


def test_a_range_shows_its_ends_and_the_reason() -> None:
    result = run("--provider", "marble", "--model", "marble-1.1-plus")
    assert "1.264" in result.output
    assert "2.464" in result.output
    assert "known only after the job" in result.output


def test_messages_are_given_as_json() -> None:
    messages = json.dumps([{"role": "user", "content": "Hello"}])
    found = quoted("--provider", "openai", "--model", "gpt-4o", f"messages={messages}")
    assert found["usage"]["input_tokens"] == 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--provider", "openai", "--model", "gpt-none", "prompt=x"), "no token price for"),
        ((*DALLE, "--n", "x"), "n must be a number"),
        ((*DALLE, "--n"), "--n has no value"),
        ((*DALLE, "nonsense"), "'nonsense' is no parameter"),
        (("--provider", "openai", "--model", "gpt-4o"), "nothing says how much would be used"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("tokenmeter: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_list_of_ones_own_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "lists:\n  - {provider: openai, model: dall-e-3, metric: image_count, source: mine, "
        "as_of: 2026-11-01, prices: [{price: 0.5}]}\n"
    )
    assert quoted(*DALLE, "--prices", str(path))["cost"]["high"] == "0.5"


def test_the_history_of_the_store_is_the_ground_for_the_answer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    with Engine(url) as engine:
        for number, tokens in enumerate((100, 200, 300, 400)):
            facts: dict[str, Any] = {
                "provider": "openai",
                "model": "gpt-4o",
                "request_model": "gpt-4o",
                "outcome": "success",
                "feature": "chat",
                "output_tokens": tokens,
            }
            engine.ingest([made(str(number), properties=facts)])
    asked = ("--provider", "openai", "--model", "gpt-4o", "prompt=Hello")
    found = quoted(*asked, "--feature", "chat", "--backend", url)
    assert found["usage"]["output_tokens"] == 250
    assert "history of 4" in found["basis"]
    assert "history" not in quoted(*asked, "--feature", "other", "--backend", url)["basis"]
