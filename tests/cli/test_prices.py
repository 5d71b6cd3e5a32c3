"""`tokenmeter prices`: the lists as people and programs see them, and what needs a look."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.engine.made import made, url
from tokenmeter import TokenMeter
from tokenmeter.cli import app
from tokenmeter.config import BACKEND_VARIABLE, HOME_VARIABLE, PRICES_VARIABLE
from tokenmeter.engine.local import Engine
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Property

OWN = """
lists:
  - provider: openai
    source: contract 42
    as_of: 2026-11-01
    confidence: high
    prices:
      - {model: dall-e-3, metric: image_count, price: 0.01}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No state, no backend, no price list of whoever runs the tests."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.delenv(BACKEND_VARIABLE, raising=False)
    monkeypatch.delenv(PRICES_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A backend with three events without a price, and two that need none."""
    found = url(tmp_path / "usage.db")
    unpriced = {"cost_source": "unpriced", "unpriced_reason": "no price for [red] 'x'"}
    new: dict[str, Property] = {"model": "kling-v9", "video_seconds": 5, **unpriced}
    new["provider"] = "kling"
    with Engine(found) as engine:
        engine.ingest(
            [
                made("a", properties=new),
                made("b", properties=new),
                made("c", properties={"provider": "acme", "image_count": 1, **unpriced}),
                made("d", properties={"model": "gpt-4o", "cost_usd": "1"}),
                made("e", properties={"model": "gpt-4o", "outcome": "failed", **unpriced}),
            ]
        )
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["prices", *arguments])


def rows(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("show", "--json", *arguments).output)
    return found


def cells(output: str, *first: str) -> list[str]:
    """The cells of the first table line that begins with these."""
    lines = (line.replace("│", "  ").split("  ") for line in output.splitlines())
    split = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return next(line for line in split if tuple(line[: len(first)]) == first)


def test_prices_are_a_table_by_model_and_what_they_are_for() -> None:
    result = run("show", "--provider", "kling", "--model", "3.0-turbo")
    assert result.exit_code == 0, result.output
    assert cells(result.output, "kling") == [
        *("kling", "kling-3.0-turbo", "video_seconds"),
        *("region ap-southeast-1, global; resolution 720p", "0.112", "2026-08-21", "0.8 units"),
    ]
    told = r"^2 prices of media-[\d-]{10}\. Token prices are genai-prices'\.$"
    assert re.search(told, result.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("marble-1.1-plus", "1.2 to 2.4"),
        ("ray-2", "unknown"),
        ("aleph2", "28 credits; at least 56 credits"),
        ("flux-lora-depth", "megapixel of image_count"),
        ("seedance-1-5-pro-251215", "1M video_tokens"),
        ("dall-e-2", "retired 2026-05-12"),
        ("gpt-image-1.5", "estimate"),
        ("minimax-h3-max", "beyond 2"),
        ("doubao-seedance-2-5", "70 CNY"),
    ],
)
def test_what_is_special_about_a_price_is_told(model: str, shown: str) -> None:
    assert shown in run("show", "--model", model).output


def test_sources_are_shown_when_asked_for() -> None:
    assert "docs.comfy.org" not in run("show", "--model", "dall-e-3").output
    assert "docs.comfy.org" in run("show", "--model", "dall-e-3", "--sources").output


def test_json_holds_every_figure_exactly() -> None:
    found = rows("--provider", "marble", "--model", "marble-1.1-plus")[0]
    assert {name: found[name] for name in ("price", "unit", "price_usd", "price_usd_max")} == {
        "price": "1500",
        "unit": "credit",
        "price_usd": "1.2",
        "price_usd_max": "2.4",
    }
    assert found["source"].startswith("https://docs.worldlabs.ai/")
    assert found["as_of"] == "2026-01-01"
    assert len(rows()) > 400
    assert rows("--model", "nothing") == []
    assert "No price matches." in run("show", "--model", "nothing").output


def test_a_list_of_ones_own_goes_first(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rows("--prices", str(own), "--model", "dall-e-3")[0]
    assert (first["price_usd"], first["source"]) == ("0.01", "contract 42")
    monkeypatch.setenv(PRICES_VARIABLE, str(own))
    assert rows("--model", "dall-e-3")[0] == first
    assert "yours" in run("show", "--model", "dall-e-3").output


def test_a_list_that_makes_no_sense_is_a_mistake_in_one_sentence(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_text(OWN.replace("0.01", "cheap"), encoding="utf-8")
    for command in ("show", "check"):
        result = run(command, "--prices", str(own))
        assert result.exit_code == 2
        assert result.stderr == f"tokenmeter: price list {own}, line 8: 'cheap' is no number\n"
    monkeypatch.setenv(PRICES_VARIABLE, str(own))
    with pytest.raises(ConfigurationError, match="line 8: 'cheap' is no number"):
        TokenMeter(backend="memory:")


def test_a_meter_prices_by_the_list_of_ones_own(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRICES_VARIABLE, str(own))
    meter = TokenMeter(backend="memory:")
    try:
        event = meter.record(
            "image_generated", {"image_count": 3}, provider="openai", model="dall-e-3"
        )
        assert str(meter.cost_of(event)) == "0.03"
    finally:
        meter.shutdown()


def test_old_prices_are_named_by_source_and_date() -> None:
    result = run("check", "--days", "200")
    assert result.exit_code == 1
    assert cells(result.output, "happyhorse") == [
        *("happyhorse", "2026-04-14", "2", "seed document (user)"),
    ]
    assert "no events were looked at, name a backend with --backend" in result.output


def test_models_of_events_without_a_price_are_named(database: str) -> None:
    result = run("check", "--days", "100000", "--backend", database)
    assert result.exit_code == 1
    reason = "no price for [red] 'x'"
    assert cells(result.output, "kling") == ["kling", "kling-v9", "2", reason]
    assert cells(result.output, "acme") == ["acme", "-", "1", reason]
    assert "Older than" not in result.output
    assert result.output.rstrip().endswith("0 older than 100000 days; 3 events without a price.")


def test_check_is_json_for_programs(database: str) -> None:
    result = run("check", "--days", "200", "--backend", database, "--json")
    found = json.loads(result.output)
    assert {row["as_of"] for row in found["old"]} == {"2026-01-01", "2026-04-14"}
    assert "veo-3.1-fast" not in {row["model"] for row in found["old"]}, "replaced, not old"
    assert found["unpriced"][1] == {
        "provider": "kling",
        "model": "kling-v9",
        "unpriced_reason": "no price for [red] 'x'",
        "events": 2,
    }
    assert json.loads(run("check", "--json").output)["unpriced"] is None


def test_nothing_to_look_after_is_exit_code_0(tmp_path: Path) -> None:
    found = url(tmp_path / "empty.db")
    Engine(found).close()
    result = run("check", "--days", "100000", "--backend", found)
    assert result.exit_code == 0, result.output
    assert "0 older than 100000 days; 0 events without a price." in result.output


def test_the_default_backend_is_looked_at(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND_VARIABLE, database)
    assert "3 events without a price" in run("check").output


def test_a_backend_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    result = run("check", "--backend", url(tmp_path / "gone.db"))
    assert result.exit_code == 2
    assert "there is no file" in result.stderr


def test_the_studios_own_prices_are_named_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRICES_VARIABLE, "studio")
    shown = CliRunner().invoke(app, ["prices", "show", "--model", "marble 0.1-plus", "--json"])
    assert shown.exit_code == 0
    assert '"1.58"' in shown.stdout
