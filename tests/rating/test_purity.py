"""Rating imports no database, network, clock, environment or logging."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tokenmeter.rating as package

FILES = sorted(Path(package.__file__).parent.glob("*.py"))
STANDARD = frozenset(
    (
        *("__future__", "calendar", "collections", "collections.abc", "dataclasses", "datetime"),
        *("decimal", "enum", "functools", "hashlib", "itertools", "json", "re", "typing"),
        "zoneinfo",
    )
)
OURS = ("tokenmeter.errors", "tokenmeter.money", "tokenmeter.rating")
CLOCKS = {"now", "utcnow", "today"}


@pytest.mark.parametrize("path", FILES, ids=[f.stem for f in FILES])
def test_a_module_of_rating_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {a.name for a in node.names} <= STANDARD
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.startswith(OURS) or node.module.split(".")[0] in STANDARD
        elif isinstance(node, ast.Attribute):
            assert node.attr not in CLOCKS


@pytest.mark.parametrize("path", FILES, ids=[f.stem for f in FILES])
def test_no_money_is_a_float(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    floats = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "float")
    ]
    assert not floats
