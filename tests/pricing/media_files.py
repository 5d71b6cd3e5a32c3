"""Price lists written for a test, and events priced by them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

from tests.pricing.events import NOON, event
from tokenmeter.event import Property
from tokenmeter.pricing.pricebook import PriceBook, Priced

HEAD = """\
lists:
  - provider: acme
    source: a test
    as_of: 2026-11-01
    metric: image_count
    model: draw
    prices:
"""


def written(folder: Path, text: str) -> Path:
    """A file of this text, as it stands."""
    path = folder / "own.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def book(folder: Path, rows: str, after: str = "") -> PriceBook:
    """A price book with these rows of provider acme's model draw, priced per image."""
    text = HEAD + indent(dedent(rows).strip("\n"), "      ") + "\n" + dedent(after)
    return PriceBook(written(folder, text))


def drawn(prices: PriceBook, /, **facts: Property) -> Priced:
    """Price an image of acme's model draw."""
    known: dict[str, Property] = {"provider": "acme", "model": "draw", "image_count": 1, **facts}
    return prices.price(event(NOON, "image_generated", **known))
