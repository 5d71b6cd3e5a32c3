"""DESIGN.md's layers: import-linter holds the imports, this the rest."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from tokenmeter import ConfigurationError
from tokenmeter.delivery.backends import ENTRY_POINTS, open_backend
from tokenmeter.engine.backend import LocalBackend

ROOT = Path(__file__).parents[1]
PURE = [
    path
    for package in ("pricing", "providers", "rating")
    for path in sorted((ROOT / "src" / "tokenmeter" / package).rglob("*.py"))
]
CLOCKS = {"now", "today", "utcnow"}


def test_imports_point_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_decision_asks_no_clock() -> None:
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PURE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
    ]
    assert asked == []


def test_the_engine_is_a_backend_by_entry_point_like_anybody_elses() -> None:
    (entry,) = entry_points(group=ENTRY_POINTS, name="sqlite")
    assert entry.load() is LocalBackend


def test_a_copy_without_its_entry_points_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(*, group: str, name: str) -> list[EntryPoint]:
        return []

    monkeypatch.setattr("importlib.metadata.entry_points", none)
    with pytest.raises(ConfigurationError, match="install tokenmeter again"):
        open_backend(f"sqlite:///{tmp_path}/usage.db")
