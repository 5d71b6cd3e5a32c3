"""The accuracy table of docs/previews.md is what the benchmark finds over the corpus."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def accuracy(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module: Any = importlib.import_module("accuracy")
    if not module.CORPUS.is_dir():
        pytest.skip("no corpus")
    return module


def test_the_goals_of_the_input_side_are_met(accuracy: Any) -> None:
    assert accuracy.goals_met(list(accuracy.samples()))


def test_a_sample_is_corrected_without_itself(accuracy: Any) -> None:
    def sample(reported: int, kind: str = "text", feature: str = "") -> Any:
        return accuracy.Sample("x", "Gemini", kind, feature, 100, reported)

    judged = sample(500)
    others = [judged, sample(110), sample(120), sample(130), sample(900, "pictures")]
    others.append(sample(900, feature="web_search"))
    assert accuracy.corrected(judged, others) == 120
    assert accuracy.corrected(judged, [judged, sample(110)]) == 100
    assert accuracy.error(120, 500) == 0.76


def test_the_docs_keep_the_table(accuracy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if not str(accuracy.CORPUS).endswith("shared/corpus"):
        pytest.skip("another corpus")
    accuracy.main()
    printed = capsys.readouterr().out
    docs = (ROOT / "docs" / "previews.md").read_text(encoding="utf-8")
    for line in printed.splitlines():
        if line.startswith("|"):
            assert line in docs, "run python benchmarks/accuracy.py"
