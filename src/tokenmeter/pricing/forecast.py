"""What a call will use: quantities from its request, by rule, count, limit or history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from tokenmeter.event import Property
from tokenmeter.pricing.counting import Count, count_input
from tokenmeter.pricing.history import History, Spread
from tokenmeter.pricing.image_tokens import PARTIAL_TOKENS, drawn_tokens
from tokenmeter.pricing.seedance import clip_tokens
from tokenmeter.pricing.tariff import Tariff
from tokenmeter.providers.base import Call, Json, mapping
from tokenmeter.providers.media import IMAGE, VIDEO, WORLD, asked_of, seconds, whole
from tokenmeter.providers.models import model_type
from tokenmeter.usage import Number

OUTPUTS_MAX = 1_000  # more of one call is a mistake of the wire
# Where nobody says how long an answer may be: an assumption, and called one.
ANSWER_TOKENS = Spread(1, 500, 4_096)
SERIES_MAX = 15  # images of Seedream's, where the request names no fewer (docs.byteplus.com)
SORA_SECONDS = 4  # of a video whose request says no length (openai 3.57.0, VideoCreateParams)
TEXT, EMBEDDING = "text_generated", "embedding_created"

_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")
_CONFIGS = frozenset({"generationConfig", "generation_config", "inferenceConfig", "parameters"})
_CONFIG_LIMITS = ("maxOutputTokens", "max_output_tokens", "maxTokens")
_OUTPUTS = ("n", "num_images", "sampleCount", "candidateCount", "numberOfVideos", "num_outputs")
_NUMBERED = _CONFIGS.union(_OUTPUTS)


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
    planned: Forecast | None = None  # what follows from it alone, once that is worked out
    # The rates of its usage; False if more than usage decides, None before somebody looked.
    tariff: Tariff | Literal[False] | None = None
    _facts: Mapping[str, Property] | None = None

    @classmethod
    def of_call(cls, call: Call, body: Json, outputs: int | None = None) -> Asked:
        """Read what a described request asks for; `outputs` if the caller knows how many."""
        outputs = outputs or _outputs(body, call.dimensions)
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
        return self.event_name != VIDEO and _NUMBERED.isdisjoint(body)

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
        """Return all quantities, at one end of what is open."""
        found = dict(self.sure)
        for metric, spread in self.open.items():
            found[metric] = spread[end]
        return found


def forecast(asked: Asked, history: History, billed_by: tuple[str, ...]) -> Forecast:
    """Return what a call will use; `billed_by` are the metrics in the model's price list."""
    draft = Forecast(asked.usage)
    if asked.event_name in {TEXT, EMBEDDING}:
        _text(draft, asked, history)
    elif not asked.stated:
        _media(draft, asked, history, billed_by)
    return draft


def _media(draft: Forecast, asked: Asked, history: History, billed_by: tuple[str, ...]) -> None:
    if asked.event_name == IMAGE:
        _images(draft, asked, history)
    elif asked.event_name == VIDEO:
        draft.sure |= {
            "video_count": asked.outputs,
            "video_jobs": 1,
            "output_count": asked.outputs,
        }
        if "video_tokens" in billed_by:
            _clip(draft, asked)
        if asked.dimensions.get("duration_assumed") == "true":
            draft.exact = False
            draft.notes.append("no duration is given: what the API seems to make is assumed")
    elif asked.event_name == WORLD:
        draft.sure |= {"world_count": 1, "output_count": 1}


def _text(draft: Forecast, asked: Asked, history: History) -> None:
    if "input_tokens" not in draft.sure:
        _input(draft, asked, history)
    if asked.event_name == TEXT and "output_tokens" not in draft.sure:
        _output(draft, asked, history)


def _input(draft: Forecast, asked: Asked, history: History) -> None:
    count = count_input(asked.model or "", asked.body, asked.provider)
    if count is not None:
        draft.counted = None if count.exact else count.expected
        count = _corrected(count, history)
        spread = Spread(count.low, count.expected, count.high)
        draft.add("input_tokens", spread, f"input: {count.basis}", exact=count.exact)
        draft.notes += count.notes
    elif history.input_tokens is not None and not asked.stated:
        draft.add("input_tokens", history.input_tokens, f"input: history of {history.events}")
    elif not asked.stated:
        draft.exact = False
        draft.notes.append("no prompt is given: the input is not in this quote")


def _corrected(count: Count, history: History) -> Count:
    """An exact count needs no correction; an estimate is closer by the ratio seen."""
    seen = history.input
    if seen is None or count.low == count.high:
        return count
    low, expected, high = (round(seen.of(Decimal(tokens))) for tokens in count.range)
    basis = f"{count.basis}, {seen} by history of {history.events}"
    return Count(low, expected, high, basis, count.notes)


def _output(draft: Forecast, asked: Asked, history: History) -> None:
    limit = output_limit(asked.body)
    if history.output_tokens is not None:
        spread = history.output_tokens.at_most(limit)
        basis = f"output: history of {history.events} (median, 90th percentile)"
    elif limit is not None:
        spread, basis = Spread(min(1, limit), limit, limit), f"output: max_tokens={limit}"
    elif asked.stated or not draft.sure.keys() | draft.open.keys():
        return
    else:
        spread, basis = ANSWER_TOKENS, f"output: assumed, up to {ANSWER_TOKENS.high} tokens"
        draft.notes.append("neither max_tokens nor a history says how long the answer may be")
    if history.answer_tokens_max is not None:
        most = max(spread.high, history.answer_tokens_max) if limit is None else limit
        spread = spread._replace(high=most)
    draft.add("output_tokens", spread.times(asked.outputs), basis)


def _images(draft: Forecast, asked: Asked, history: History) -> None:
    said = asked.dimensions
    drawn = drawn_tokens(asked.model or "", said.get("size"), said.get("quality"))
    if said.get("sequential") == "true":
        _series(draft, asked.outputs if "n" in said else SERIES_MAX)
    else:
        draft.sure |= {"image_count": asked.outputs, "output_count": asked.outputs}
    if drawn is None:
        return
    partial = (whole(asked.body.get("partial_images")) or 0) * PARTIAL_TOKENS
    spread = Spread(drawn.low, drawn.expected + partial, drawn.high + partial)
    tokens = spread.times(asked.outputs)
    draft.add("output_image_tokens", tokens, f"images: {drawn.basis}")
    draft.add("output_tokens", tokens)
    _input(draft, asked, history)


def _series(draft: Forecast, most: int) -> None:
    """The model says how many images a series has; none is billed that is not made."""
    draft.add("image_count", Spread(1, most, most), f"images: a series of at most {most}")
    draft.add("output_count", Spread(1, most, most))


def _clip(draft: Forecast, asked: Asked) -> None:
    """Seedance's formula: frame size, seconds, and what is open of them."""
    length = asked.usage.get("video_seconds")
    found = clip_tokens(asked.model or "", asked.dimensions, length)
    if found is None:
        draft.notes.append("the frame of this video is not known: no tokens by the formula")
        return
    spread, basis = found
    draft.add("video_tokens", spread.times(asked.outputs), basis)


def _sora(usage: Mapping[str, Number], body: Json) -> Mapping[str, Number]:
    if "video_seconds" in usage:
        return usage
    length = seconds(body["seconds"]) if body.get("seconds") is not None else SORA_SECONDS
    return usage if length is None else {**usage, "video_seconds": length}


def _outputs(body: Json, dimensions: Mapping[str, str]) -> int:
    """Return how many images, videos or answers are asked for; 1 where nobody says."""
    said: object = dimensions.get("n") or dimensions.get("sample_count")
    if not _NUMBERED.isdisjoint(body):
        found = [place[name] for place in _places(body) for name in _OUTPUTS if name in place]
        said = found[0] if found else said
    number = None if said is None else whole(said)
    return number if number and number <= OUTPUTS_MAX else 1


def output_limit(body: Json) -> int | None:
    """Return the most tokens that the answer may have, wherever the format says so."""
    for name in _LIMITS:
        if name in body and (limit := whole(body[name])):
            return limit
    for place in _places(body)[1:]:
        for name in _CONFIG_LIMITS:
            if name in place and (limit := whole(place[name])):
                return limit
    return None


def _places(body: Json) -> list[Json]:
    """Return the body, and the objects in it that hold parameters."""
    if _CONFIGS.isdisjoint(body):
        return [body]
    return [body, *(mapping(body[name]) for name in body if name in _CONFIGS)]
