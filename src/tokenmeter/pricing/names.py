"""Our words and genai-prices' words: providers, metrics, service tiers. Tables only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

# Our provider name -> genai-prices' id, where they differ. Any other name must be an id of
# genai-prices letter by letter: its own matching ("contains google") prices strangers.
PROVIDERS: Mapping[str, str] = {
    "api.novita.ai": "novita",  # a relay of many makers' own paths, known by its host
    "bedrock": "aws",
    "google-vertex": "google",
    "moonshot": "moonshotai",
    "voyage": "voyageai",
    "xai": "x-ai",
    "zhipu": "zhipuai",
}
# Hugging Face routes each call to a host, named by its answer (`inference_provider`), or in the
# model: "openai/gpt-oss-120b:groq".
ROUTERS: Mapping[str, str] = {"huggingface": "huggingface_"}

# genai-prices' unit -> our metric. Units that no event reports are left out.
METRICS: Mapping[str, str] = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_5m_tokens": "cache_write_5m_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "input_text_tokens": "input_text_tokens",
    "output_text_tokens": "output_text_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "output_image_tokens": "output_image_tokens",
    "input_video_tokens": "input_video_tokens",
    "output_video_tokens": "output_video_tokens",
    "cache_text_read_tokens": "cache_read_text_tokens",
    "cache_audio_read_tokens": "cache_read_audio_tokens",
    "cache_image_read_tokens": "cache_read_image_tokens",
    "cache_video_read_tokens": "cache_read_video_tokens",
    "input_tool_tokens": "tool_use_input_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "input_characters": "characters",
    "audio_seconds": "audio_seconds",
    "input_audio_seconds": "audio_seconds",
    "web_searches": "web_search_count",
    "storage_searches": "file_search_count",
    "social_searches": "social_search_count",
}

MEDIA = ("image", "audio", "video")  # the order in which cached tokens are given out

_STANDARD = ("standard", "standard_only", "default", "auto", "on_demand", "on_demand_standard")
_TIERS: Mapping[str, Mapping[str, str]] = {
    **{name: {} for name in (*_STANDARD, "unspecified", "traffic_type_unspecified")},
    "batch": {"processing": "batch"},
    "on_demand_flex": {"service_tier": "flex"},
    "on_demand_priority": {"service_tier": "priority"},
}
# Tiers that draw on capacity bought in advance: the single call is not billed per token.
_PREPAID = {
    ("anthropic", "priority"),
    ("azure", "provisioned"),
    ("google-vertex", "provisioned_throughput"),
    ("openai", "scale"),
}

# What is billed by the piece, beside tokens or without any.
_PIECES = (
    *("web_search_count", "input_image_count", "page_count"),
    *("search_unit_count", "classification_count", "file_search_count", "social_search_count"),
    "maps_grounding_count",
)

# What tells that code ran in a container of the provider's. OpenAI bills its minutes, at least 5
# (0.03 USD in 20 minutes for 1 GB), Anthropic its hours: both go on after the answer.
# https://developers.openai.com/api/docs/changelog (2026-06-02, by modeldex.dev),
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool
CONTAINERS = ("container_id", "code_execution")
CONTAINER_TIME = "the time of its container is not in this cost: no answer tells it"
# By operation: why what names no model has no price.
UNTOLD: Mapping[str, str] = {
    "containers": "a container is billed by its minutes, which no answer tells",
    "sessions.runtime": "no price list that we have says what the time of a session costs",
}

# By the last word of `operation`: free of charge, and results at batch rates.
_FREE = frozenset({"count_tokens", "countTokens", "input_tokens", "moderations"})
_BATCHES = frozenset({"batch", "batches"})

# What says that a gateway answered, and not the provider (providers/gateways.py).
SERVED_FROM_CACHE = "served_from_cache"

# How OpenAI names a fine-tuned model: "ft:gpt-4o-mini-2024-07-18:acme::id".
FINE_TUNED = "ft:"

# How Bedrock names a profile that may serve anywhere: "global.anthropic.claude-sonnet-5".
GLOBAL_PROFILE = "global."

# US-only inference costs 1.1 x on every token rate, of Claude Opus 4.6 and later models.
# https://platform.claude.com/docs/en/build-with-claude/data-residency (2026-11)
US_ONLY_FACTOR = Decimal("1.1")
_BEFORE_US_ONLY = re.compile(r"claude-(?:v?\d|instant|(?:opus|sonnet)-4-[0-5]$|haiku-4)")

# Fast mode of models that genai-prices has no rates of it for: so many times the token rates.
# https://platform.claude.com/docs/en/build-with-claude/fast-mode (by OpenRouter's pages of
# claude-opus-4.6-fast and 4.7-fast, 2026-11-30); both were removed in 2026.
FAST_FACTORS: Mapping[str, Decimal] = {
    "claude-opus-4-6": Decimal(6),
    "claude-opus-4-7": Decimal(6),
}

# Google gives 50 % on flex as on batches; genai-prices has both of its newest models alone.
# https://ai.google.dev/gemini-api/docs/optimization (2026-11-30)
_FLEX, _BATCH = {"service_tier": "flex"}, {"processing": "batch"}

# Google's priority tier costs 1.8 x on every token rate; genai-prices has it of a few models.
# litellm 1.110.2, 267 of 271 rates of its rows that cite Google's price lists (2026-11-30)
_PRIORITY = {"service_tier": "priority"}
_PRIORITY_FACTOR = Decimal("1.8")
_GEMINI = "gemini-"

# Shortest billed audio in seconds (https://groq.com/pricing).
SECONDS_MIN: Mapping[tuple[str, str], int] = {
    ("groq", "whisper-large-v3"): 10,
    ("groq", "whisper-large-v3-turbo"): 10,
}

# Rates that genai-prices does not have, by its own id of the model and names of the units.
# litellm 1.109.1, whose row cites https://ai.google.dev/gemini-api/docs/pricing (2026-11-21)
MORE_RATES: Mapping[str, Mapping[str, Decimal]] = {
    "gemini-2.5-flash-image": {
        "input_audio_mtok": Decimal(1),
        "cache_read_mtok": Decimal("0.03"),
    },
    # litellm 1.110.2, of the versions of 2024-12-17 and 2025-06-03
    "gpt-4o-audio-preview": {
        "input_audio_mtok": Decimal(40),
        "output_audio_mtok": Decimal(80),
    },
    "gpt-4o-mini-audio-preview": {
        "input_audio_mtok": Decimal(10),
        "output_audio_mtok": Decimal(20),
    },
}

# Google bills its search by the grounded prompt up to Gemini 2.5, by each query since Gemini 3.
# https://ai.google.dev/gemini-api/docs/google-search (by you.com, 2026-09-17)
_GROUNDED_ONCE = re.compile(r"gemini-[12]\.")

# What else Google bills by the piece, and genai-prices does not have: grounding in Google Maps, by
# the grounded prompt up to Gemini 2.5, by each query since Gemini 3. A search of a file search
# store is free; one of one's own data on Vertex is billed by what holds these data.
# litellm 1.110.2, rows that cite https://ai.google.dev/gemini-api/docs/pricing (2026-11-30)
_MAPS_RATES = (
    (re.compile(r"gemini-2\.5-(?:pro|flash)"), Decimal("0.025")),
    (re.compile(r"gemini-[3-9]"), Decimal("0.014")),
)

# OpenAI's models that search the web in each chat; and its first tool for searches with a model
# that does not reason: what it found takes no tokens.
# Azure has a price of its own (litellm cites Microsoft's retail prices).
# litellm 1.110.2, search_context_cost_per_query (2026-11-30)
_Rows = tuple[tuple[re.Pattern[str], Decimal], ...]
_SEARCH_RATES: _Rows = (
    (re.compile(r"gpt-4o(?:-mini)?-search-preview"), Decimal("0.025")),
    (re.compile(r"gpt-5-search-api"), Decimal("0.01")),
)
_AZURE_SEARCH_RATES: _Rows = ((re.compile(r"gpt-|o\d"), Decimal("0.014")),)
_PREVIEW_RATES: _Rows = ((re.compile(r"gpt-4o|gpt-4\.1"), Decimal("0.025")),)

# Models whose output is images alone, even where the provider reports no split.
DRAWS_ONLY = ("gpt-image", "chatgpt-image")


def price_context(tier: str | None, speed: str | None) -> dict[str, str]:
    """Return the request context by which genai-prices selects its price variants."""
    name = (tier or "default").lower().removeprefix("service_tier_")
    context = dict(_TIERS.get(name, {"service_tier": name}))
    if speed not in (None, "standard"):
        context["speed"] = str(speed)
    return context


def prepaid(provider: str, tier: str | None) -> bool:
    """Say whether this service tier is paid for by commitment instead of by use."""
    return (provider, (tier or "").lower()) in _PREPAID


def factors(
    provider: str, model: str, context: Mapping[str, str], geo: str | None, *, in_book: bool
) -> dict[str, Decimal]:
    """
    Return the factors on token rates, by what was asked for: where it ran, how fast.

    `in_book`: the price list has rates for this context.
    """
    found: dict[str, Decimal] = {}
    if provider == "google" and context == _PRIORITY and not in_book and model.startswith(_GEMINI):
        found["service_tier=priority"] = _PRIORITY_FACTOR
    if provider != "anthropic":
        return found
    if geo == "us" and not _BEFORE_US_ONLY.match(model):
        found["inference_geo=us"] = US_ONLY_FACTOR
    if context.get("speed") == "fast" and model in FAST_FACTORS:
        found["speed=fast"] = FAST_FACTORS[model]
    return found


def same_rates(
    provider: str, context: Mapping[str, str], known: Sequence[Mapping[str, str]]
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the context whose rates hold, with a note if it is not the one that was asked for."""
    alike = provider == "google" and context == _FLEX and _BATCH in known
    if not alike or _FLEX in known:
        return context, ()
    return _BATCH, ("service_tier=flex: the rates of batches are used, half of the standard",)


def rates_by_the_piece(provider: str, model: str, search: str | None) -> dict[str, Decimal]:
    """
    Return the USD that a tool costs each time, by metric, where it is not the price book's.

    `provider` is our name; `search` is which of OpenAI's two tools searched the web.
    """
    if provider in ("openai", "azure"):
        rows = _AZURE_SEARCH_RATES if provider == "azure" else _SEARCH_RATES
        rows = rows if search is None else (*rows, *_PREVIEW_RATES)
        rate = next((rate for named, rate in rows if named.match(model)), None)
        return {} if rate is None else {"web_search_count": rate}
    if provider not in ("google", "google-vertex"):
        return {}
    rates = {"file_search_count": Decimal(0)} if provider == "google" else {}
    for models, rate in _MAPS_RATES:
        if models.match(model):
            rates["maps_grounding_count"] = rate
    return rates


def grounded_once(provider: str, model: str) -> bool:
    """Say whether a prompt's searches are billed as one, however many they are."""
    return provider == "google" and _GROUNDED_ONCE.match(model) is not None


def unrated(priced: frozenset[str]) -> tuple[str, ...]:
    """Return what is billed by tokens or pieces and has no rate: worth a word if reported."""
    directions = ("input_tokens", "output_tokens")
    half = [name for name in directions if name not in priced]
    return (
        *(half if len(half) == 1 else ()),
        *(name for name in _PIECES if name not in priced),
    )


def modal_cache(priced: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return the media whose cached tokens have a rate of their own, by metric."""
    pairs = ((f"input_{name}_tokens", f"cache_read_{name}_tokens") for name in MEDIA)
    return tuple((whole, read) for whole, read in pairs if read in priced)


def is_free(operation: str) -> bool:
    """Say whether providers answer this operation free of charge: token counts, moderation."""
    return operation.rpartition(".")[2] in _FREE


def is_batch(operation: str | None) -> bool:
    """Say whether the usage is that of a batch, whatever its service tier says."""
    return operation is not None and operation.rpartition(".")[2] in _BATCHES
