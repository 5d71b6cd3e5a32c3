"""
What a price may depend on that a request does not say: a choice of the provider's, a quantity.

Where a request says "auto", each choice can have its price. Where it says nothing of how much
will be used (the file of a batch, a recording), no price that depends on it is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from tokenmeter.event import Event

AUTO = "auto"
COUNTS = frozenset({"request_count", "output_count"})  # say nothing of how much is used
# OpenAI's and Azure's images (openai 3.57.0, ImageGenerateParams).
CHOICES = {
    "quality": ("low", "medium", "high", "standard", "hd"),
    "size": ("1024x1024", "1024x1536", "1536x1024", "1024x1792", "1792x1024"),
}


# As much of each as any price would show.
MUCH = dict.fromkeys(
    (
        *("input_tokens", "uncached_input_tokens", "output_tokens", "total_tokens"),
        *("audio_seconds", "characters"),
    ),
    1_000_000,
)


def much_of(event: Event) -> Event | None:
    """Return an event as if much were used, of one that says nothing of it; else None."""
    if not COUNTS.issuperset(event.usage):
        return None
    return replace(event, properties={**event.properties, **MUCH})


def chosen(event: Event) -> Iterator[Event]:
    """Yield the events that one whose quality or size is "auto" may become; none if none is."""
    facts = event.properties
    left = [name for name in CHOICES if facts.get(name) == AUTO]
    if left:
        for choice in product(*(CHOICES[name] for name in left)):
            yield replace(event, properties={**facts, **dict(zip(left, choice, strict=True))})
