"""`tokenmeter catalog`: checked, shown, applied, exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokenmeter.cli import app


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'usage.db'}"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["catalog", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_bundled_catalog_is_valid() -> None:
    assert "studio: 1 price_unit, 8 meter" in run("validate", "studio")
    assert json.loads(run("validate", "studio", "--json"))["counts"]["price"] == 13


def test_plan_shows_apply_does_and_export_writes_it(url: str, tmp_path: Path) -> None:
    shown = run("plan", "studio", "--backend", url)
    assert "+ price veo_3_1_4k_sec" in shown
    assert "31 to create" in shown
    assert run("apply", "studio", "--backend", url) == shown
    assert run("plan", "studio", "--backend", url) == "no changes\n"
    written = tmp_path / "out.yaml"
    run("export", "--backend", url, "--to", str(written))
    assert run("export", "--backend", url) == written.read_text(encoding="utf-8")
    written.write_text(written.read_text(encoding="utf-8").replace("0.08", "0.09"))
    (first, *_) = json.loads(run("plan", str(written), "--backend", url, "--json"))
    assert first["differs"] == {"amount": {"before": "0.08", "after": "0.09"}}


def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("meters:\n  m: {event_name: e, aggregation: {type: SUM}}\n")
    result = CliRunner().invoke(app, ["catalog", "validate", str(path)])
    assert result.exit_code == 2
    assert "line 2: A SUM meter needs a field" in result.output
