"""The docs cannot rot: their code runs, their names, commands and picture are the real ones."""

from __future__ import annotations

import html
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.capture.decorator import Options
from tokenmeter.capture.observation import Observation
from tokenmeter.cli import COMMANDS
from tokenmeter.cli.demo_replay import played
from tokenmeter.engine.local import Engine
from tokenmeter.event import EVENT_NAMES, Event
from tokenmeter.meter import TokenMeter

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECIMAL = re.compile(r"\d+(?:\.\d+)+")  # costs, shares and versions change with their packages


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(name), re.M | re.S)


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the docs' code runs: a folder of its own, fake keys, the default meter closed."""
    monkeypatch.chdir(tmp_path)
    for provider in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.setenv(f"{provider}_API_KEY", "none")
        monkeypatch.delenv(f"{provider}_BASE_URL", raising=False)
    yield tmp_path
    tokenmeter.shutdown()


def test_the_readmes_python_runs_in_its_order(in_a_folder: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks("README.md", "python"):
        with played("openai_chat"):
            exec(compile(code, "README.md", "exec"), names)
    tokenmeter.shutdown()
    names["meter"].shutdown()
    assert len(names["run"].events) == 1
    with Engine("sqlite:///usage.db") as engine:
        found = engine.events().events
    assert sorted(e.event_name for e in found) == [
        *("gpu_time", "text_generated", "text_generated", "world_generated")
    ]
    assert {e.external_customer_id for e in found} == {"acme", "unattributed"}


def test_the_python_of_docs_events_runs(in_a_folder: Path) -> None:
    for code in blocks("docs/events.md", "python"):
        names: dict[str, Any] = {}
        exec(compile(code, "docs/events.md", "exec"), names)
        assert names["meter"].shutdown()


def test_the_python_of_docs_previews_runs(in_a_folder: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks("docs/previews.md", "python"):
        exec(compile(code, "docs/previews.md", "exec"), names)
    assert names["quote"].cost is not None


def test_the_python_of_docs_gateway_runs(in_a_folder: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks("docs/gateway.md", "python"):
        exec(compile(code, "docs/gateway.md", "exec"), names)
    assert isinstance(names["app"], TokenMeterMiddleware)


def test_the_event_in_the_docs_is_an_event_with_metrics_that_exist() -> None:
    (code,) = blocks("docs/events.md", "json")
    fields: dict[str, Any] = json.loads(code)
    event = Event.from_dict(fields)
    usage = event.usage
    assert event.to_dict() == fields
    assert usage.input_tokens == 166 + 1_152
    numbers = {k for k, v in fields["properties"].items() if not isinstance(v, str)}
    assert numbers - {"attempt"} == set(usage) <= tokenmeter.METRICS


def test_the_docs_name_every_event_and_only_metrics_that_exist() -> None:
    written = text("docs/events.md")
    assert all(f"`{name}`" in written for name in EVENT_NAMES)
    metrics = re.findall(r"`([a-z0-9_]+_(?:tokens|count|seconds|jobs)|characters)`", written)
    assert set(metrics) <= tokenmeter.METRICS


def test_the_reference_has_every_public_name_and_no_other() -> None:
    named = re.findall(r"^### `(\w+)`$", text("docs/reference.md"), re.M)
    assert len(named) == len(set(named))
    assert set(named) == set(tokenmeter.__all__)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("attribute", tokenmeter.attribute),
        ("configure", tokenmeter.configure),
        ("flush", tokenmeter.flush),
        ("metered", Options),
        ("preview", tokenmeter.preview),
        ("preview_call", tokenmeter.preview_call),
        ("record", tokenmeter.record),
        ("run", tokenmeter.run),
        ("shutdown", tokenmeter.shutdown),
        ("timer", tokenmeter.timer),
        ("wrap", tokenmeter.wrap),
        ("Money", tokenmeter.Money),
        ("Policy", tokenmeter.Policy),
        ("TokenMeter", tokenmeter.TokenMeter),
    ],
)
def test_the_reference_gives_the_parameters_that_a_name_has(name: str, function: Any) -> None:
    section = text("docs/reference.md").split(f"### `{name}`\n")[1]
    signature = re.search(rf"`@?{name}\(([^)]+)\)", section)
    assert signature
    named = [part.strip(" *").split("=")[0] for part in signature[1].split(",")]
    assert [part for part in named if part] == list(inspect.signature(function).parameters)


def test_the_members_that_the_reference_names_are_there() -> None:
    for member in ("backend", "engine", "cost_of", "health"):
        assert f"`meter.{member}" in text("docs/reference.md")
        assert hasattr(TokenMeter, member)
    functions = {n for n in tokenmeter.__all__ if n.islower()} - {"configure"}
    assert all(callable(getattr(TokenMeter, name)) for name in functions)
    section = text("docs/reference.md").split("### `Observation`")[1].split("###")[0]
    for member in re.findall(r"`(\w+)`", section):
        assert hasattr(Observation, member)


def test_every_command_is_in_the_readme() -> None:
    assert all(f"`tokenmeter {command}" in text("README.md") for command in COMMANDS)


def test_every_dependency_has_its_reason() -> None:
    project: Any = tomllib.loads(text("pyproject.toml"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    names = {re.split(r"[<>=\[ ]", line, maxsplit=1)[0] for line in wanted}
    rows = "".join(re.findall(r"^\|.*\|$", text("docs/dependencies.md"), re.M))
    assert {name for name in names if f"`{name}`" not in rows} == set()


def test_every_link_between_the_docs_leads_somewhere() -> None:
    for path in (ROOT / "README.md", *DOCS.glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (path.parent / link).exists(), (path, link)


def test_the_picture_shows_what_the_demo_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    picture: Any = importlib.import_module("picture")
    assert lines(picture.draw()) == lines(picture.PICTURE.read_text(encoding="utf-8")), (
        "run python docs/picture.py"
    )


def lines(svg: str) -> list[str]:
    """The lines of text in a picture, from left to right, decimals left out."""
    found: dict[int, list[tuple[float, str]]] = {}
    pattern = r'<text[^>]* x="([\d.]+)"[^>]*clip-path="url\(#demo-line-(\d+)\)">(.*?)</text>'
    for x, line, content in re.findall(pattern, svg):
        found.setdefault(int(line), []).append((float(x), html.unescape(content)))
    joined = ("".join(part for _, part in sorted(parts)) for _, parts in sorted(found.items()))
    return [" ".join(DECIMAL.sub("#", line).split()) for line in joined]
