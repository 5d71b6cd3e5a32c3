"""`import tokenmeter` is light: what it must not bring in, and what its names cost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import cast

FORBIDDEN = {
    "SQLAlchemy": "sqlalchemy",
    "alembic": "alembic",
    "genai-prices": "genai_prices",
    "pydantic": "pydantic",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "typer": "typer",
    "rich": "rich",
    "FastAPI": "fastapi",
    "openai": "openai",
    "anthropic": "anthropic",
    "google-genai": "google.genai",
}
# Of the standard library and of wrapt: 50 ms that only a meter in use needs.
SLOW = ("asyncio", "email.utils", "importlib.metadata", "ssl", "wrapt")


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh process has after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(cast("list[str]", json.loads(done.stdout)))


def test_import_brings_in_no_sdk_and_no_heavy_library() -> None:
    loaded = loaded_by("import tokenmeter")
    assert "tokenmeter.meter" in loaded
    assert {name for name, module in FORBIDDEN.items() if module in loaded} == set()


def test_public_names_bring_in_no_sdk_and_no_heavy_library() -> None:
    loaded = loaded_by("from tokenmeter import *")
    assert {name for name, module in FORBIDDEN.items() if module in loaded} == set()


def test_instrumenting_brings_in_no_sdk_and_no_http_library() -> None:
    statement = "import tokenmeter; tokenmeter.TokenMeter('memory:').instrument()"
    loaded = loaded_by(statement)
    assert {name for name, module in FORBIDDEN.items() if module in loaded} == set()


def test_import_leaves_out_what_only_a_meter_in_use_needs() -> None:
    before = loaded_by("")
    loaded = loaded_by("import tokenmeter") - before
    assert loaded.isdisjoint(SLOW)
