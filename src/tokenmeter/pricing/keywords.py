"""What the caller of `preview` says by keyword: quantities, dimensions and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tokenmeter.errors import PreviewError
from tokenmeter.pricing.asked import EMBEDDING, OUTPUTS_MAX, TEXT, Asked
from tokenmeter.pricing.media import MediaPrices
from tokenmeter.pricing.media_quote import billing_metrics
from tokenmeter.pricing.media_words import MORE_METRICS, spelled
from tokenmeter.pricing.shapes import described
from tokenmeter.providers.media import IMAGE, SECONDS_MAX, VIDEO, WORLD, plain, seconds
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.usage import METRICS, Number

_QUANTITIES = METRICS | MORE_METRICS
_QUANTITY_MAX = 10**15
_COUNTS = ("n", "number_of_videos", "number_of_images", "num_images", "sample_count")
_OURS = {
    **dict.fromkeys(("duration_seconds", "seconds"), "duration"),
    "ratio": "aspect_ratio",
    "sound": "generate_audio",
    "audio": "generate_audio",
    "image_size": "size",
}
_SOUNDS = {"on": "true", "native": "true", "off": "false", "original": "false"}
# Parameters that no price depends on, or that hold a prompt.
_NO_DIMENSIONS = frozenset(
    {
        *_COUNTS,
        *("messages", "prompt", "input", "contents", "system", "instructions", "tools", "stream"),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p"),
        *("functions", "partial_images", "negative_prompt", "image", "image_url", "seed"),
    }
)
_KINDS = {"image_count": IMAGE, "world_count": WORLD}

Keywords = Mapping[str, object]


def asked_by_keywords(provider: str, model: str, said: Keywords, media: MediaPrices) -> Asked:
    """
    Read what `preview` was asked; raises PreviewError for what makes no sense.

    A metric's name (``image_count=2``) states a quantity of the event; a parameter of the API
    (``n=2``, ``duration=5``, ``messages=...``) is read as in a request, with its defaults.
    """
    said = {_OURS.get(name, name): value for name, value in said.items() if value is not None}
    usage = {name: _quantity(name, said[name]) for name in said if name in _QUANTITIES}
    facts = {name: value for name, value in said.items() if name not in usage}
    number, length = _number(facts), _length(facts)
    if usage:
        kind = _kind(provider, model, media)
        asked = Asked(provider, model, kind, usage=usage, body=facts, stated=True)
    else:
        asked = _parameters(provider, model, facts, media, number)
        if length is not None and asked.event_name == VIDEO and "video_seconds" not in asked.usage:
            asked.usage = {**asked.usage, "video_seconds": length * number}
    asked.dimensions = dimensions = dict(asked.dimensions)
    for name, text in _dimensions(facts):
        known = dimensions.get(name)
        if known != text and spelled(name, known) != text:
            dimensions[name] = text
    return asked


def _parameters(
    provider: str, model: str, facts: dict[str, object], media: MediaPrices, number: int
) -> Asked:
    found = described(provider, model, facts)
    if found is None:
        return Asked(provider, model, _kind(provider, model, media), body=facts, outputs=number)
    asked = Asked.of_call(*found, number)
    asked.provider, asked.model = provider, model
    return asked


def _kind(provider: str, model: str, media: MediaPrices) -> str:
    """Return the event that a model's call becomes, by what its price list counts."""
    billed_by = billing_metrics(provider, model, media)
    if billed_by:
        metric = billed_by[0]
        return VIDEO if metric.startswith("video") else _KINDS.get(metric, TEXT)
    if "embed" in model:
        return EMBEDDING
    if "omni" in model and provider.startswith("google"):
        return VIDEO
    return IMAGE if "image" in model else TEXT


def _number(facts: Keywords) -> int:
    for name in _COUNTS:
        if name in facts:
            number = _quantity(name, facts[name])
            if not 1 <= number <= OUTPUTS_MAX or number != int(number):
                raise PreviewError(f"{name} must be a whole number from 1 to {OUTPUTS_MAX}")
            return int(number)
    return 1


def _length(facts: Keywords) -> Number | None:
    """Return the seconds asked for; -1 leaves them to the model."""
    if "duration" not in facts:
        return None
    value = facts["duration"]
    length = seconds(float(value) if isinstance(value, Decimal) else value)
    if length is None and str(value).strip() != "-1":
        raise PreviewError(
            f"duration must be seconds up to {SECONDS_MAX}, such as 5 or '5s', or -1 where the "
            "model chooses"
        )
    return length


def _quantity(name: str, value: object) -> Number:
    """Read a number, which may be written as text; raises PreviewError."""
    text = format(value, "f") if isinstance(value, Decimal) else value
    number = decimal(text.strip() if isinstance(text, str) else text)
    if number is None or number > _QUANTITY_MAX:
        raise PreviewError(f"{name} must be a number from 0 on, such as {name}=2")
    return plain(number)


def _dimensions(facts: Keywords) -> Iterator[tuple[str, str]]:
    """Yield what events say as dimensions: texts, flags and numbers of the keywords."""
    for name, value in facts.items():
        if name in _NO_DIMENSIONS or isinstance(value, dict | list):
            continue
        if name == "duration" and str(value).strip() == "-1":
            continue
        text = spelled(name, value if not isinstance(value, float) else Decimal(str(value)))
        if text is None:
            continue
        yield name, _SOUNDS.get(text, text) if name == "generate_audio" else text
