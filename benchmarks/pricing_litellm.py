"""LiteLLM's side of pricing.py; runs in LiteLLM's own environment, knows nothing of ours."""

from __future__ import annotations

import importlib
import json
import sys
import time
import timeit
from typing import Any

ROUNDS, NUMBER = 7, 300


def main() -> int:
    """Read cases, print the best time of each in microseconds; None for an unknown model."""
    litellm: Any = importlib.import_module("litellm")
    print(json.dumps([best_us(litellm, case) for case in json.load(sys.stdin)]))
    return 0


def best_us(litellm: Any, case: dict[str, Any]) -> float | None:
    """Return the best round's time for one call of `cost_per_token`."""
    provider = "gemini" if case["provider"] == "google" else case["provider"]

    def price() -> object:
        found: object = litellm.cost_per_token(
            model=case["model"],
            custom_llm_provider=provider,
            prompt_tokens=case["input_tokens"],
            completion_tokens=case["output_tokens"],
            cache_read_input_tokens=case.get("cache_read_tokens", 0),
            cache_creation_input_tokens=case.get("cache_write_tokens", 0),
        )
        return found

    try:
        price()
    except Exception as error:
        print(f"{case['model']}: {type(error).__name__}", file=sys.stderr)
        return None
    rounds = timeit.repeat(price, number=NUMBER, repeat=ROUNDS, timer=time.thread_time)
    return min(rounds) / NUMBER * 1e6


if __name__ == "__main__":
    sys.exit(main())
