"""Every example of a media family runs offline and says what its event holds."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.running import check_is_short, check_says

HERE = Path(__file__).parents[1] / "examples" / "media"
CASSETTES = Path(__file__).parents[1] / "cassettes" / "media"
SAYS = {
    "dalle": "image_generated acme 1 image\n1024x1792 hd 0.12 USD",
    "gemini_image": "image tokens: 2000 of 2310\ncost: 0.243736 USD",
    "gpt_image": "acme 1 image\ntokens: 14 in, 7124 out\ncost: 0.21379 USD",
    "happyhorse": "8 seconds, 1 job\nap-southeast-1 720p\ncost: 1.12 USD",
    "kling": "10 seconds are billed, 10.041 delivered, 10 units, 1.4 USD",
    "marble": "world_generated globex 1 world\nstandard text\n1580 credits, 1.264 USD",
    "muapi": "5 seconds for acme, 0.6 USD, reported",
    "seedance": "108900 tokens, 5 seconds with sound: true 0.26136 USD",
    "seedream": "image_generated 2048x2048 2 images 0.08 USD",
    "veo": "acme trailer\n2 videos, 12 seconds\n1080p sound: false\ncost: 1.2 USD",
}


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_and_says_what_was_used(name: str, tmp_path: Path) -> None:
    check_says(HERE / f"{name}.py", SAYS[name], tmp_path)


@pytest.mark.parametrize("name", SAYS)
def test_an_example_is_read_in_a_minute(name: str) -> None:
    check_is_short(HERE / f"{name}.py")


def test_the_cassettes_are_what_their_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (CASSETTES, CASSETTES.parent):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    makers: Any = importlib.import_module("makers")
    assert {*makers.CASSETTES} <= {path.stem for path in CASSETTES.glob("*.yaml")}
    for name, content in makers.CASSETTES.items():
        kept = (CASSETTES / f"{name}.yaml").read_text(encoding="utf-8")
        assert makers.write.written(content) == kept, f"run makers.py: {name} differs"
