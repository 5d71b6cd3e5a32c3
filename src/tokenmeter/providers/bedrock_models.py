"""What a Bedrock model id says: its name, its family, and what the model makes."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tokenmeter.providers.anthropic_usage import label

# arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-…
_ARN = re.compile(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:(?P<kind>[a-z-]+)/(?P<name>.+)")
_NAMES_A_MODEL = frozenset({"foundation-model", "inference-profile"})

_CLAUDE = re.compile(r"anthropic|claude")
# These report Converse's `inputTokens` with the cached tokens inside, as OpenAI counts.
_COUNTS_GROSS = re.compile(r"(?:^|[./])openai\.|(?:^|[./])gpt-")
_FAMILY = re.compile(r"[a-z0-9]+\.[a-z]")  # "us.amazon.nova-…", "meta.llama3-…"
_IMAGES = re.compile(r"titan-image|nova-canvas|stability\.|stable-diffusion")
_AMAZON_IMAGES = re.compile(r"titan-image|nova-canvas")
_EMBEDS = re.compile(r"embed|marengo")
_RERANKS = re.compile(r"rerank")


def model_name(segment: str) -> str | None:
    """
    Return the model that a path names; an ARN without its account: it is nobody's business.

    What an application's own profile stands for cannot be seen in its name.
    """
    asked = unquote(segment)
    arn = _ARN.fullmatch(asked)
    if arn is None:
        return label(asked)
    kind, name = arn.group("kind", "name")
    return label(name if kind in _NAMES_A_MODEL else f"{kind}/{name}")


def is_claude(model: str | None) -> bool:
    """Say whether Anthropic made the model."""
    return bool(model and _CLAUDE.search(model))


def counts_gross(model: str | None) -> bool:
    """Say whether this family's `inputTokens` hold the cached ones, against AWS's own rule."""
    return bool(model and _COUNTS_GROSS.search(model))


def has_family(model: str | None) -> bool:
    """Say whether the id tells who made the model; a provisioned model's does not."""
    return bool(model and (_FAMILY.search(model) or is_claude(model) or counts_gross(model)))


def is_amazon_image(model: str | None) -> bool:
    """Say whether Amazon's own defaults hold for an image that is asked for."""
    return bool(model and _AMAZON_IMAGES.search(model))


def event_name(model: str | None) -> str:
    """Return the name of the events that calls of this model become."""
    known = model or ""
    if _RERANKS.search(known):
        return "api_calls"
    if _EMBEDS.search(known):
        return "embedding_created"
    return "image_generated" if _IMAGES.search(known) else "text_generated"
