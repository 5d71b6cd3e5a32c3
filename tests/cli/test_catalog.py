"""`tokenmeter catalog`: checked, shown, applied, exported."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokenmeter.cli import app
from tokenmeter.engine.local import Engine
from tokenmeter.event import Event


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


def test_apply_counts_for_new_meters_what_came_before_them(url: str) -> None:
    event = Event("image_generated", "e1", "acme", datetime(2026, 11, 1, tzinfo=UTC), {})
    with Engine(url) as engine:
        engine.ingest([event])
    said = run("apply", "studio", "--backend", url)
    assert "1 events that were stored before are counted by the new meters" in said
    with Engine(url) as engine:
        assert engine.backfill() == 0
    again = run("apply", "studio", "--backend", url)
    assert again == "no changes\n"


def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("meters:\n  m: {event_name: e, aggregation: {type: SUM}}\n")
    result = CliRunner().invoke(app, ["catalog", "validate", str(path)])
    assert result.exit_code == 2
    assert "line 2: A SUM meter needs a field" in result.output
