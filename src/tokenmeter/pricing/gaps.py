"""Fill what a provider left out of its usage, where a rule says how, and say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tokenmeter.pricing.card import QUANTITY_MAX, Card
from tokenmeter.pricing.names import CONTAINER_TIME, CONTAINERS, MEDIA
from tokenmeter.usage import Number

_ALL = ("text", *MEDIA)
_DISJOINT_INPUT = ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens")
OUTPUT_PARTS = ("reasoning_tokens", *(f"output_{name}_tokens" for name in _ALL))
_PARTS = {
    "input_tokens": (
        *_DISJOINT_INPUT,
        *(f"input_{name}_tokens" for name in _ALL),
    ),
    "output_tokens": OUTPUT_PARTS,
}
LONG_WRITES = "cache_write_12h_tokens"
SEARCHES = ("web_search_count", "maps_grounding_count")

Facts = Mapping[str, object]


def fill(facts: Facts, event_name: str, card: Card) -> tuple[Facts, list[str]]:
    """
    Return the usage to price, completed, and a note for each assumption.

    `facts` are an event's properties; a usage that is complete comes back as it is.
    """
    notes: list[str] = []
    if "input_tokens" not in facts or "output_tokens" not in facts:
        facts = _with_totals(facts, card, notes)
    if card.draws or card.modal_cache or card.seconds_min:
        facts = _with_splits(facts, event_name, card, notes)
    if card.grounded_once:
        facts = _with_one_search(facts, notes)
    if LONG_WRITES in facts or not facts.keys().isdisjoint(card.unrated):
        notes.extend(_unrated(facts, card))
    if not facts.keys().isdisjoint(CONTAINERS):
        notes.append(CONTAINER_TIME)
    return facts, notes


def _with_one_search(facts: Facts, notes: list[str]) -> Facts:
    """Take the searches for one prompt as one, those on maps likewise."""
    many = [metric for metric in SEARCHES if _count(facts, metric) > 1]
    if not many:
        return facts
    notes.append("the searches for one prompt are billed as one")
    return {**facts, **dict.fromkeys(many, 1)}


def _with_splits(facts: Facts, event_name: str, card: Card, notes: list[str]) -> Facts:
    """Fill what only some models have rates for: drawn images, cached media, short audio."""
    if card.draws and "output_image_tokens" not in facts:
        facts = _with_drawn(facts, event_name, card, notes)
    if card.modal_cache and "cache_read_tokens" in facts:
        facts = _with_cached_media(facts, card, notes)
    if card.seconds_min and _count(facts, "audio_seconds"):
        seconds = max(_count(facts, "audio_seconds"), card.seconds_min)
        facts = {**facts, "audio_seconds": seconds}
    return facts


def unrated(facts: Facts, card: Card) -> list[str]:
    """Name what this usage has, what is billed, and what the card has no rate for."""
    return [metric for metric in card.unrated if _count(facts, metric)]


def _unrated(facts: Facts, card: Card) -> Iterator[str]:
    for metric in unrated(facts, card):
        yield f"{metric} has no rate in the price book"
    if _count(facts, LONG_WRITES):
        yield f"{LONG_WRITES} is priced as a short cache write"


def _with_totals(facts: Facts, card: Card, notes: list[str]) -> Facts:
    """Find the totals: one direction's `tokens`, or the sum of the disjoint input parts."""
    if "tokens" in facts:
        facts = {**facts, f"{facts.get('prompt_type', 'input')}_tokens": facts["tokens"]}
    if "uncached_input_tokens" in facts and "input_tokens" not in facts:
        facts = {**facts, "input_tokens": sum(_count(facts, part) for part in _DISJOINT_INPUT)}
    notes.extend(_headless(facts))
    if card.bands and "input_tokens" not in facts and "output_tokens" in facts:
        notes.append("the prompt's length is not known: the rate for short prompts is used")
    return facts


def _headless(facts: Facts) -> Iterator[str]:
    for whole, parts in _PARTS.items():
        if whole not in facts and any(_count(facts, part) for part in parts):
            yield f"{whole} is not reported: only its parts are priced"


def _with_drawn(facts: Facts, event_name: str, card: Card, notes: list[str]) -> Facts:
    """Take all output as image tokens, where no split is reported and images were made."""
    drawn = card.draws_only or event_name == "image_generated"
    if not drawn or "output_text_tokens" in facts or not _count(facts, "output_tokens"):
        return facts
    notes.append("no split of the output is reported: all of it is priced as image tokens")
    images = _count(facts, "output_tokens") - _count(facts, "reasoning_tokens")
    return {**facts, "output_image_tokens": images}


def _with_cached_media(facts: Facts, card: Card, notes: list[str]) -> Facts:
    """
    Split cached tokens that are reported in one sum: text first, the rest by modality.

    900 cached of 1,000 input tokens, 300 of these audio: 700 cached text, 200 cached audio.
    """
    unsaid = [pair for pair in card.modal_cache if pair[0] in facts and pair[1] not in facts]
    if not any(_count(facts, whole) for whole, _ in unsaid):
        return facts
    unsplit = _count(facts, "cache_read_tokens") - _sum(facts, "cache_read_{}_tokens", _ALL)
    if unsplit <= 0:
        return facts
    text = _count(facts, "input_tokens") - _sum(facts, "input_{}_tokens", MEDIA)
    rest = max(0, unsplit - text + _count(facts, "cache_read_text_tokens"))
    filled = dict(facts)
    for whole, read in unsaid:
        filled[read] = min(rest, _count(facts, whole))
        rest -= min(rest, _count(facts, whole))
    notes.append("cached tokens are reported without modality: taken as text first")
    return filled


def _sum(facts: Facts, metric: str, modalities: tuple[str, ...]) -> Number:
    return sum(_count(facts, metric.format(modality)) for modality in modalities)


def _count(facts: Facts, metric: str) -> Number:
    """Return a metric, or 0 where it is no quantity: the card refuses that one by name."""
    value = facts.get(metric, 0)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return 0
    if isinstance(value, Decimal) and not value.is_finite():
        return 0
    return value if 0 <= value <= QUANTITY_MAX else 0
