"""What a call asks for, and the quantities that it will use: what a preview reckons with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tokenmeter.event import Property
from tokenmeter.pricing.history import Spread
from tokenmeter.pricing.tariff import Tariff
from tokenmeter.providers.base import Call, Json, mapping
from tokenmeter.providers.media import VIDEO, asked_of, seconds, whole
from tokenmeter.providers.models import model_type
from tokenmeter.usage import Number

OUTPUTS_MAX = 1_000  # no provider makes more by one call
SORA_SECONDS = 4  # of a video whose request says no length (openai 3.57.0, VideoCreateParams)
TEXT, EMBEDDING = "text_generated", "embedding_created"
_CONFIGS = frozenset({"generationConfig", "generation_config", "inferenceConfig", "parameters"})
_OUTPUTS = (
    *("n", "num_images", "num_outputs", "sampleCount", "candidateCount", "numberOfVideos"),
    *("sample_count", "candidate_count", "number_of_videos"),  # Google reads both spellings
)
_NUMBERED = _CONFIGS.union(_OUTPUTS)
_COMPLETIONS = "completions"  # OpenAI's old ones: several prompts, and answers nobody sees


@dataclass(slots=True)
class Asked:
    """What a call asks for, whoever says so: a request at the tap, or the caller of preview."""

    provider: str
    model: str | None
    event_name: str
    operation: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])
    usage: Mapping[str, Number] = field(default_factory=dict[str, Number])
    body: Json = field(default_factory=dict[str, Any])
    outputs: int = 1
    stated: bool = False  # quantities were given: nothing is assumed beside them
    requests: tuple[Asked, ...] = ()  # of a batch
    planned: Forecast | None = None  # what follows from it alone, once that is worked out
    # The rates of its usage; False if more than usage decides, None before somebody looked.
    tariff: Tariff | Literal[False] | None = None
    _facts: Mapping[str, Property] | None = None

    @classmethod
    def of_call(cls, call: Call, body: Json, outputs: int | None = None) -> Asked:
        """Read what a described request asks for; `outputs` if the caller knows how many."""
        outputs = outputs or _outputs(body, call.dimensions)
        if call.api.operation == _COMPLETIONS:
            outputs = _completions(body, outputs)
        usage: Mapping[str, Number] = call.usage if outputs == 1 else asked_of(call.usage, outputs)
        if call.api.event_name == VIDEO and call.api.operation == "videos":
            usage = _sora(usage, body)
        return cls(
            call.provider,
            call.request_model,
            call.api.event_name,
            call.api.operation,
            call.dimensions,
            usage,
            body,
            outputs,
        )

    def fits(self, body: Json) -> bool:
        """Say whether a request with this body, described alike, asks for the same."""
        fixed = self.event_name != VIDEO and self.operation != _COMPLETIONS
        return fixed and _NUMBERED.isdisjoint(body)

    def holding(self, body: Json) -> Asked:
        """Return the same call with another body, which asks for the same of another prompt."""
        return Asked(
            self.provider,
            self.model,
            self.event_name,
            self.operation,
            self.dimensions,
            self.usage,
            body,
            self.outputs,
            self.stated,
            tariff=self.tariff,
            _facts=self.facts(),
        )

    def facts(self) -> Mapping[str, Property]:
        """Return what the event of this call says beside its quantities."""
        if self._facts is None:
            found: dict[str, Property] = {"provider": self.provider, "request_count": 1}
            if self.model:
                found["model"] = found["request_model"] = self.model
                found["model_type"] = model_type(self.model)
            if self.operation:
                found["operation"] = self.operation
            self._facts = {**found, **self.dimensions}
        return self._facts


class Forecast:
    """
    The quantities of a call: those that are sure, and those within a spread.

    Filled by `forecast`; whoever has one from there reads it only.
    """

    __slots__ = ("basis", "counted", "exact", "notes", "open", "sure")

    def __init__(self, sure: Mapping[str, Number]) -> None:
        self.sure = dict(sure)
        self.open: dict[str, Spread] = {}
        self.basis: list[str] = []
        self.notes: list[str] = []
        self.exact = True  # all of it is counted or stated, nothing estimated
        self.counted: int | None = None  # tokens of the prompt by a local estimate, not corrected

    def add(self, metric: str, spread: Spread, basis: str = "", *, exact: bool = False) -> None:
        """Add a quantity, and what it rests on unless another one says that."""
        if not exact:
            self.exact = False
        if spread.low == spread.high:
            self.sure[metric] = spread.expected
        else:
            self.open[metric] = spread
        if basis:
            self.basis.append(basis)

    def at(self, end: int) -> dict[str, Number]:
        """Return all quantities, at one end of what is open; a cache may not be used at all."""
        found = dict(self.sure)
        for metric, spread in self.open.items():
            if spread[end] or not metric.startswith("cache_"):
                found[metric] = spread[end]
        return found


def _sora(usage: Mapping[str, Number], body: Json) -> Mapping[str, Number]:
    if "video_seconds" in usage:
        return usage
    length = seconds(body["seconds"]) if body.get("seconds") is not None else SORA_SECONDS
    return usage if length is None else {**usage, "video_seconds": length}


def _outputs(body: Json, dimensions: Mapping[str, str]) -> int:
    """Return how many images, videos or answers are asked for; 1 where nobody says."""
    said: list[object] = [dimensions.get("n") or dimensions.get("sample_count")]
    if not _NUMBERED.isdisjoint(body):
        found = [place[name] for place in places(body) for name in _OUTPUTS if name in place]
        said = found or said
    number = max((whole(_trimmed(value)) or 0 for value in said if value is not None), default=0)
    return min(number, OUTPUTS_MAX) or 1


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _completions(body: Json, outputs: int) -> int:
    """Return how many answers are written: `best_of` for each prompt, whatever comes back."""
    prompt: object = body.get("prompt")
    best = whole(body.get("best_of") or 0) or 0
    prompts = sum(isinstance(one, str | list) for one in prompt) if isinstance(prompt, list) else 1
    return max(outputs, best) * max(prompts, 1)


def places(body: Json) -> list[Json]:
    """Return the body, and the objects in it that hold parameters."""
    if _CONFIGS.isdisjoint(body):
        return [body]
    return [body, *(mapping(body[name]) for name in body if name in _CONFIGS)]
