"""
Draw docs/demo.svg: what `tokenmeter demo` prints.

    python docs/picture.py
"""
# ruff: noqa: INP001 - a script beside its picture, not a package

from __future__ import annotations

import os
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console

from tokenmeter.cli.demo import OWN_BACKEND, print_demo, run_demo

PICTURE = Path(__file__).parent / "demo.svg"
WIDTH = 101


def draw() -> str:
    """Run the demo and return its output as SVG."""
    screen = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    before = Path.cwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        try:
            print_demo(screen, run_demo(OWN_BACKEND))
        finally:
            os.chdir(before)
    return screen.export_svg(title=f"tokenmeter demo --backend {OWN_BACKEND}", unique_id="demo")


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
