"""
What pricing one event and previewing one call cost. One run, two tables.

    python benchmarks/pricing.py

Pricing stands beside genai-prices' `calc_price` and LiteLLM's `cost_per_token` (in an
environment of its own, made on the first run; `--no-litellm` leaves it out). CPU time of the
thread, best of several rounds. The goals: pricing takes at most 1/10 of the faster of them, a
preview 50 us, with a prompt of 1 KB 100 us. Exit code 1 if one is missed.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import genai_prices
from capture_envs import NotInstalledError, environment

from tokenmeter import TokenMeter
from tokenmeter.event import Event, Property
from tokenmeter.previews import HttpRequest
from tokenmeter.pricing.pricebook import PriceBook, price_event

GOAL = 10  # times faster than the faster peer
PREVIEW_US, PROMPT_US = 50, 100
LITELLM = "litellm==1.109.1"
WORKER_S_MAX = 180
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
    spent = timeit.timeit(call, number=200, timer=time.thread_time)
    number = max(1, int(ROUND_S / (spent / 200)))
    rounds = timeit.repeat(call, number=number, repeat=ROUNDS, timer=time.thread_time)
    return min(rounds) / number * 1e6


def calc_price(case: Case) -> Callable[[], object]:
    """genai-prices, with a usage that is already made."""
    usage = genai_prices.Usage(**{THEIR_NAMES.get(k, k): n for k, n in case.usage.items()})
    return lambda: genai_prices.calc_price(
        usage, case.model, provider_id=case.provider, genai_request_timestamp=AT
    )


def litellm_us(cases: list[Case]) -> list[float | None]:
    """LiteLLM's times, measured in its own environment, without network."""
    try:
        python = environment("litellm", (LITELLM,))
    except NotInstalledError as error:
        print(f"LiteLLM is left out: {error}", file=sys.stderr)
        return [None] * len(cases)
    asked = [{"model": case.model, "provider": case.provider, **case.usage} for case in cases]
    worker = Path(__file__).with_name("pricing_litellm.py")
    done = subprocess.run(
        [str(python), str(worker)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=WORKER_S_MAX,
        check=True,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    found: list[float | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(case: Case, book: PriceBook, lite: float | None) -> float:
    """Print one line; return how many times faster `price_event` is than the faster peer."""
    event = case.event
    price, whole = best_us(lambda: book.price(event)), best_us(lambda: price_event(event, book))
    theirs = best_us(calc_price(case.peer or case))
    peer = theirs if lite is None else min(theirs, lite)
    shown = f"{lite:10.1f}" if lite else f"{'-':>10}"
    print(
        f"{case.name:18}{theirs:12.1f}{shown}{price:10.2f}{whole:14.2f}"
        f"{peer / price:9.1f}x{peer / whole:13.1f}x"
    )
    return peer / whole


TEXT = ("The quick brown fox jumps over the lazy dog; 42 others do not. " * 17)[:1_010]
CHAT: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "max_tokens": 100}
PREVIEWS: tuple[dict[str, Any], ...] = (
    {"provider": "openai", "model": "dall-e-3", "size": "1024x1024", "quality": "hd", "n": 2},
    {"provider": "openai", "model": "gpt-image-1", "size": "1024x1024", "quality": "high"},
    {"provider": "openai", "model": "gpt-4o", "input_tokens": 1_200, "max_tokens": 100},
    {"provider": "kling", "model": "kling-v3-omni", "duration": 5, "resolution": "1080p"},
    {"provider": "byteplus", "model": "seedance-1-5-pro-251215", "duration": 5},
    {"provider": "google-vertex", "model": "veo-3.1-generate-001", "duration": 8},
    {"provider": "marble", "model": "marble-1.1-plus"},
)


def previewed_us(meter: TokenMeter, said: dict[str, Any]) -> float:
    """Return the time of one preview by keywords."""
    return best_us(lambda: meter.preview(**said))


def previews(meter: TokenMeter) -> bool:
    """Print what previews cost; say whether the goals are met."""
    numbers = itertools.count()

    def request() -> HttpRequest:
        """A request whose prompt nobody has seen before."""
        text = f"{next(numbers):010} {TEXT}"
        body = {
            "model": "gpt-4o",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": text}],
        }
        url = "https://api.openai.com/v1/chat/completions"
        return HttpRequest("POST", url, {}, json.dumps(body).encode())

    def new_prompt() -> object:
        text = f"{next(numbers):010} {TEXT}"
        return meter.preview(**CHAT, messages=[{"role": "user", "content": text}])

    making = best_us(request)
    known = request()
    found = [(said["model"], previewed_us(meter, said), PREVIEW_US) for said in PREVIEWS]
    found += [
        ("1 KB, new", best_us(new_prompt), PROMPT_US),
        ("1 KB, seen before", best_us(lambda: meter.preview(**CHAT, prompt=TEXT)), PROMPT_US),
        (
            "request, 1 KB, new",
            best_us(lambda: meter.preview_request(request())) - making,
            PROMPT_US,
        ),
        ("request, seen before", best_us(lambda: meter.preview_request(known)), PROMPT_US),
    ]
    print(f"\n{'us per preview':26}{'seen':>8}{'goal':>8}")
    for name, spent, goal in found:
        print(f"{name:26}{spent:8.1f}{goal:8}{'' if spent <= goal else '  MISSED'}")
    return all(spent <= goal for _, spent, goal in found)


def main() -> int:
    """Print the tables; 0 if the goals are met."""
    book = PriceBook()
    first = timeit.timeit(lambda: book.price(CASES[0].event), number=1) * 1e3
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {book.version}, "
        f"load {load:.1f}"
    )
    print(f"first price, data loaded with genai_prices already imported: {first:.0f} ms")
    print("media: beside the others' price of a gpt-image-1.5 image, which they know\n")
    cases = [*CASES, *MEDIA]
    peers = [case.peer or case for case in cases]
    lite = [None] * len(cases) if "--no-litellm" in sys.argv else litellm_us(peers)
    print(
        f"{'us per event':18}{'calc_price':>12}{'litellm':>10}{'price':>10}{'price_event':>14}"
        f"{'price':>10}{'price_event':>14}"
    )
    ratios = [row(case, book, lite[place]) for place, case in enumerate(cases)]
    fast = min(ratios) >= GOAL
    print(f"\nPricing, the goal is {GOAL}x: {'met' if fast else 'MISSED'}.")
    meter = TokenMeter("memory:")
    return 0 if previews(meter) & fast else 1


if __name__ == "__main__":
    sys.exit(main())
