"""What was used: metric names and the immutable mapping that carries their numbers."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from decimal import Decimal

Number = int | Decimal

# Parts are disjoint and lie within their total (DESIGN §4): input_tokens includes cached and
# cache-written tokens, output_tokens includes reasoning.
METRICS = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "uncached_input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_5m_tokens",
        "cache_write_30m_tokens",
        "cache_write_1h_tokens",
        "cache_write_12h_tokens",
        "reasoning_tokens",
        "tool_use_input_tokens",
        "input_text_tokens",
        "output_text_tokens",
        "input_audio_tokens",
        "output_audio_tokens",
        "input_image_tokens",
        "output_image_tokens",
        "input_video_tokens",
        "output_video_tokens",
        "cache_read_audio_tokens",
        "cache_read_image_tokens",
        "cache_read_text_tokens",
        "cache_read_video_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
        "image_count",
        "video_count",
        "video_seconds",
        "video_tokens",
        "video_jobs",
        "world_count",
        "audio_seconds",
        "characters",
        "request_count",
        "output_count",
        "classification_count",
        "input_image_count",
        "page_count",
        "search_unit_count",
        "web_search_count",
        "web_fetch_count",
        "file_search_count",
        "social_search_count",
        "maps_grounding_count",
        "code_execution_count",
        "container_count",
        "time_seconds",
        "tokens",
        "trained_tokens",
    }
)


class Usage(Mapping[str, Number]):
    """
    Numbers by metric name: ``Usage(input_tokens=12)["input_tokens"]``.

    A metric nobody reported is absent, never 0; ``usage.input_tokens`` is None then.
    ``a | b`` folds two reports of one thing (b wins); ``a + b`` adds two things.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, Number] | None = None, /, **more: Number) -> None:
        found = numbers.to_dict() if isinstance(numbers, Usage) else numbers
        self._numbers: dict[str, Number] = {**found, **more} if found else more

    def __getitem__(self, metric: str) -> Number:
        return self._numbers[metric]

    # The views of Mapping would do; the dict's own are ten times as fast.

    def keys(self) -> KeysView[str]:
        """The metrics."""
        return self._numbers.keys()

    def items(self) -> ItemsView[str, Number]:
        """The metrics with their numbers."""
        return self._numbers.items()

    def values(self) -> ValuesView[Number]:
        """The numbers."""
        return self._numbers.values()

    def __contains__(self, metric: object) -> bool:
        return metric in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __hash__(self) -> int:
        return hash(frozenset(self._numbers.items()))

    def __getattr__(self, metric: str) -> Number | None:
        if metric in METRICS:
            return self._numbers.get(metric)
        raise AttributeError(f"{metric!r} is not a metric")

    def __or__(self, later: Mapping[str, Number]) -> Usage:
        if not later:
            return self
        return Usage({**self._numbers, **dict(later.items())}) if self._numbers else Usage(later)

    def __add__(self, other: Mapping[str, Number]) -> Usage:
        if not other:
            return self
        added = dict(self._numbers)
        for metric, number in other.items():
            added[metric] = added.get(metric, 0) + number
        return Usage(added)

    def to_dict(self) -> dict[str, Number]:
        """Return the numbers in a dict of the caller's own."""
        return self._numbers.copy()

    def __repr__(self) -> str:
        return f"Usage({', '.join(f'{metric}={n}' for metric, n in self._numbers.items())})"


NOTHING = Usage()
