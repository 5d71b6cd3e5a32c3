"""
What pricing one event costs, beside genai-prices and (if installed) LiteLLM. One run, one table.

    python benchmarks/pricing.py

The goal: at most 1/10 of the faster of them. Exit code 1 if it is missed.
"""

from __future__ import annotations

import importlib
import platform
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import genai_prices

from tokenmeter.event import Event, Property
from tokenmeter.pricing.pricebook import PriceBook, price_event

GOAL = 10  # times faster than the faster peer
ROUNDS = 7
ROUND_S = 0.1
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)

# What a captured event carries besides: pricing has to read past it.
FACTS: dict[str, Property] = {
    "run_id": "req-42",
    "call_id": "9b2f",
    "attempt": 1,
    "outcome": "success",
    "billable": "true",
    "usage_source": "reported",
    "feature": "chat",
    "environment": "prod",
    "streamed": "true",
    "http_status": "200",
    "request_count": 1,
}


@dataclass(frozen=True)
class Case:
    """One usage of one model."""

    name: str
    provider: str
    model: str
    usage: dict[str, int]
    dimensions: dict[str, str] = field(default_factory=dict[str, str])
    peer: Case | None = None  # what the others price instead, where they know no such thing

    @property
    def event(self) -> Event:
        named = {"provider": self.provider, "model": self.model, "request_model": self.model}
        properties = {**FACTS, **named, **self.dimensions, **self.usage}
        properties["service_tier"] = "default"
        return Event("text_generated", "evt_1", "cust_001", AT, properties)


CASES = (
    Case(
        "chat",
        "openai",
        "gpt-4o-mini-2024-07-18",
        {"input_tokens": 1_200, "output_tokens": 300},
    ),
    Case(
        "cached, tiered",
        "anthropic",
        "claude-sonnet-4-5-20250929",
        {
            "input_tokens": 12_000,
            "cache_read_tokens": 8_000,
            "cache_write_tokens": 2_000,
            "cache_write_5m_tokens": 1_500,
            "cache_write_1h_tokens": 500,
            "output_tokens": 300,
        },
    ),
    Case(
        "audio, cached",
        "google",
        "gemini-2.5-flash",
        {
            "input_tokens": 3_284,
            "input_audio_tokens": 321,
            "cache_read_tokens": 2_917,
            "cache_read_audio_tokens": 285,
            "output_tokens": 122,
        },
    ),
)
DRAWN = Case("", "openai", "gpt-image-1.5", {"input_tokens": 50, "output_tokens": 1_056})
MEDIA = (
    Case(
        "image, by size",
        "openai",
        "dall-e-3",
        {"image_count": 2, "output_count": 2},
        {"size": "1024x1024", "quality": "hd"},
        DRAWN,
    ),
    Case(
        "video, by second",
        "kling",
        "kling-v3-omni",
        {"video_seconds": 5, "video_count": 1, "output_count": 1},
        {"resolution": "720p", "generate_audio": "true", "mode": "std", "region": "global"},
        DRAWN,
    ),
)
THEIR_NAMES = {"cache_read_audio_tokens": "cache_audio_read_tokens"}


def best_us(call: Callable[[], object]) -> float:
    """Return the best round's time for one call, in microseconds."""
    call()
    number = max(1, int(ROUND_S / (timeit.timeit(call, number=200) / 200)))
    return min(timeit.repeat(call, number=number, repeat=ROUNDS)) / number * 1e6


def calc_price(case: Case) -> Callable[[], object]:
    """genai-prices, with a usage that is already made."""
    usage = genai_prices.Usage(**{THEIR_NAMES.get(k, k): n for k, n in case.usage.items()})
    return lambda: genai_prices.calc_price(
        usage, case.model, provider_id=case.provider, genai_request_timestamp=AT
    )


def cost_per_token(case: Case) -> Callable[[], object] | None:
    """LiteLLM, if it is installed."""
    try:
        litellm: Any = importlib.import_module("litellm")
    except ImportError:
        return None
    return lambda: litellm.cost_per_token(
        model=case.model,
        custom_llm_provider="gemini" if case.provider == "google" else case.provider,
        prompt_tokens=case.usage["input_tokens"],
        completion_tokens=case.usage["output_tokens"],
        cache_read_input_tokens=case.usage.get("cache_read_tokens", 0),
        cache_creation_input_tokens=case.usage.get("cache_write_tokens", 0),
    )


def row(case: Case, book: PriceBook) -> float:
    """Print one line; return how many times faster `price` is than the faster peer."""
    event = case.event
    price, whole = best_us(lambda: book.price(event)), best_us(lambda: price_event(event, book))
    peer_case = case.peer or case
    theirs, litellm = best_us(calc_price(peer_case)), cost_per_token(peer_case)
    lite = best_us(litellm) if litellm else None
    peer = theirs if lite is None else min(theirs, lite)
    shown = f"{lite:10.1f}" if lite else f"{'-':>10}"
    print(
        f"{case.name:18}{theirs:12.1f}{shown}{price:10.2f}{whole:14.2f}"
        f"{peer / price:9.1f}x{peer / whole:13.1f}x"
    )
    return peer / price


def main() -> int:
    """Print the table; 0 if the goal is met."""
    book = PriceBook()
    first = timeit.timeit(lambda: book.price(CASES[0].event), number=1) * 1e3
    print(f"{platform.machine()}, Python {platform.python_version()}, {book.version}")
    print(f"first price, data loaded with genai_prices already imported: {first:.0f} ms")
    print("media: beside the others' price of a gpt-image-1.5 image, which they know\n")
    print(
        f"{'us per event':18}{'calc_price':>12}{'litellm':>10}{'price':>10}{'price_event':>14}"
        f"{'price':>10}{'price_event':>14}"
    )
    ratios = [row(case, book) for case in (*CASES, *MEDIA)]
    print(f"\nThe goal is {GOAL}x: {'met' if min(ratios) >= GOAL else 'MISSED'}.")
    return 0 if min(ratios) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
