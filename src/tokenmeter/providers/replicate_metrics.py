"""What a prediction was asked for and has made: Replicate's inputs, outputs and metrics."""

from __future__ import annotations

from collections.abc import Iterator

from tokenmeter.providers.base import Json, Reading, mapping, text
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import (
    IMAGE,
    OTHER,
    VIDEO,
    amount,
    resolution,
    said,
    seconds,
    truth,
    whole,
)
from tokenmeter.providers.media_kinds import AUDIO, TEXT, kind_of_file, kind_of_model
from tokenmeter.providers.openai_numbers import seconds as time_s
from tokenmeter.usage import NOTHING, Number, Usage

_SECONDS = {
    "video_output_duration_seconds": "video_seconds",
    "audio_output_duration_seconds": "audio_seconds",
}
_COUNTS = {
    "image_output_count": "image_count",
    "image_count": "image_count",
    "video_output_count": "video_count",
    "token_input_count": "input_tokens",
    "input_token_count": "input_tokens",
    "token_output_count": "output_tokens",
    "output_token_count": "output_tokens",
}
_ADDRESSES = ("http://", "https://", "data:")
_TIME = "predict_time"
_KINDS = (  # the first metric that is there says what was made
    (VIDEO, ("video_seconds", "video_count")),
    (IMAGE, ("image_count",)),
    (AUDIO, ("audio_seconds",)),
    (TEXT, ("output_tokens",)),
)
_VIDEOS = ("video", "input_video", "reference_video", "video_url")
_IMAGES = (
    *("image", "start_image", "first_frame_image", "input_image", "image_input", "input_images"),
    *("reference_images", "last_frame", "end_image", "image_prompt"),
)


def describe_input(kind: str, value: object) -> tuple[Usage, dict[str, str]]:
    """Return what one output will be, and the facts that a price needs."""
    asked = mapping(value)
    sounds = (truth(asked.get(name)) for name in ("generate_audio", "with_audio"))
    given = "video" if _any(asked, _VIDEOS) else "image" if _any(asked, _IMAGES) else "text"
    facts = {
        "input_type": given,
        **labels(
            mode=asked.get("mode"),
            quality=asked.get("quality"),
            aspect_ratio=asked.get("aspect_ratio"),
        ),
        **said(
            resolution=_tier(kind, asked.get("resolution")),
            generate_audio=next(filter(None, sounds), None),
            fps=amount(asked.get("fps")),
        ),
    }
    length = seconds(asked.get("duration")) if kind == VIDEO else None
    return NOTHING if length is None else Usage(video_seconds=length), facts


def _any(asked: Json, names: tuple[str, ...]) -> bool:
    return any(asked.get(name) for name in names)


def _tier(kind: str, value: object) -> str | None:
    """A video's resolution, or a picture's word for its own: ``1 MP``."""
    if kind == VIDEO:
        return resolution(value)
    name = label(value)
    return None if name is None else name.lower()


def read_made(payload: Json, model: str) -> Reading:
    """Read what a prediction that succeeded was billed by: its metrics, else its outputs."""
    metrics = mapping(payload.get("metrics"))
    numbers, flags = _numbers(metrics)
    pieces = list(_pieces(payload.get("output")))
    kinds = [kind_of_file(piece) for piece in pieces if piece.startswith(_ADDRESSES)]
    kind = _kind(numbers, kinds, model if kinds or not pieces else None)
    made = kinds.count(kind) or (1 if not kinds and kind in (VIDEO, IMAGE) else len(kinds))
    metric = {IMAGE: "image_count", VIDEO: "video_count"}.get(kind)
    if metric is not None:
        made = int(numbers.setdefault(metric, made))
    if kind in (VIDEO, IMAGE, AUDIO) and made:
        numbers["output_count"] = made
    if kind == VIDEO:
        numbers["video_jobs"] = 1
        flags |= set() if "video_seconds" in numbers else {"missing:video_seconds"}
    if not _COUNTS.keys() & metrics.keys() and not _SECONDS.keys() & metrics.keys():
        flags.add("counted")
    return Reading(
        usage=Usage(numbers),
        event_name=kind,
        flags=frozenset(flags),
        dimensions={**_echoed(kind, payload.get("input")), **_facts(metrics)},
    )


def _numbers(metrics: Json) -> tuple[dict[str, Number], set[str]]:
    numbers: dict[str, Number] = {}
    flags: set[str] = set()
    for name, value in metrics.items():
        found: Number | None
        if name in _SECONDS:
            metric, found = _SECONDS[name], seconds(value)
        elif name in _COUNTS:
            metric, found = _COUNTS[name], whole(value)
        elif name == _TIME:
            metric, found = "time_seconds", time_s(value)
        else:
            continue
        if found is not None:
            numbers[metric] = found
        elif value is not None:
            flags.add(f"invalid:{name}")
    return numbers, flags


def _kind(numbers: dict[str, Number], kinds: list[str], model: str | None) -> str:
    """Say what was made: by the metrics, else by the files, else by the model's name or a text."""
    measured = (kind for kind, metrics in _KINDS if any(numbers.get(m) for m in metrics))
    files = (kind for kind in (VIDEO, IMAGE, AUDIO) if kind in kinds)
    named = TEXT if model is None else kind_of_model(model) if model and not kinds else OTHER
    return next(measured, None) or next(files, None) or named


def _pieces(output: object) -> Iterator[str]:
    """Yield the addresses of an output, or the pieces of its text: one, a list, or named ones."""
    found = list(output.values()) if isinstance(output, dict) else output
    for item in found if isinstance(found, list) else [found]:
        piece = text(item)
        if piece is not None:
            yield piece


def _echoed(kind: str, asked: object) -> dict[str, str]:
    """Return what the answer repeats of the request; it is deleted after an hour."""
    return describe_input(kind, asked)[1] if mapping(asked) else {}


def _facts(metrics: Json) -> dict[str, str]:
    return {
        **said(
            resolution=resolution(metrics.get("resolution_target")),
            generate_audio=truth(metrics.get("with_audio")),
        ),
        **labels(mode=metrics.get("motion_mode")),
    }
