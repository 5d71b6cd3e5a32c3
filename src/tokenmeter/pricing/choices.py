"""What a provider chooses itself where a request says "auto": each choice can have its price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from tokenmeter.event import Event

AUTO = "auto"
# OpenAI's and Azure's images (openai 3.57.0, ImageGenerateParams).
CHOICES = {
    "quality": ("low", "medium", "high", "standard", "hd"),
    "size": ("1024x1024", "1024x1536", "1536x1024", "1024x1792", "1792x1024"),
}


def chosen(event: Event) -> Iterator[Event]:
    """Yield the events that one whose quality or size is "auto" may become; none if none is."""
    facts = event.properties
    left = [name for name in CHOICES if facts.get(name) == AUTO]
    if left:
        for choice in product(*(CHOICES[name] for name in left)):
            yield replace(event, properties={**facts, **dict(zip(left, choice, strict=True))})
