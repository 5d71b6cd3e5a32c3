"""Words that vendors spell differently, in our spelling. Tables only."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple


class Known(NamedTuple):
    """The provider that another name stands for, and the region that the name implies."""

    provider: str
    region: str | None = None


# Other names of providers -> ours (DESIGN §4).
PROVIDERS: Mapping[str, Known] = {
    "black_forest_labs": Known("bfl"),
    "dashscope": Known("alibaba", "cn-beijing"),  # litellm's names for Alibaba's two lists
    "qwencloud": Known("alibaba", "ap-southeast-1"),
    "fal_ai": Known("fal"),
    "happyhorse.app": Known("happyhorse"),
    "runwayml": Known("runway"),
    "vertex_ai": Known("google-vertex"),
    "volcengine": Known("byteplus", "cn-beijing"),
    "worldlabs": Known("marble"),
}

# Other spellings of a dimension's values -> ours; compared in lower case.
VALUES: Mapping[str, Mapping[str, str]] = {
    "resolution": {"2160p": "4k", "1440p": "2k", "3840x2160": "4k"},
    "region": {
        **dict.fromkeys(("cn", "china", "beijing"), "cn-beijing"),
        **dict.fromkeys(("intl", "international", "singapore", "sg"), "ap-southeast-1"),
    },
    "duration": {"5s": "5", "6s": "6", "9s": "9", "10s": "10"},
    "service_tier": {"standard": "default", "auto": "default"},
}

# Metrics that only prices of media know, besides those of every event.
MORE_METRICS = frozenset({"input_image_count", "input_video_seconds", "pixel_count"})

# Properties in which an event says what the provider charged, in the provider's own unit.
REPORTED_UNITS: Mapping[str, str] = {"provider_credits": "credit", "provider_units": "unit"}
# The package that units were taken from, where a vendor sells several: its own unit's name.
UNIT_PACKAGE = "unit_package"

_UNSAID = frozenset({"", "*"})  # price lists write * for "any"
_DIGITS_MAX = 18


def spelled(dimension: str, value: object) -> str | None:
    """
    Return a dimension's value as prices compare it; None where nothing is said.

    ``2160P`` is ``4k`` of a resolution, ``True`` is ``true``, 6 and 6.0 are ``6``.
    """
    if isinstance(value, str):
        text = value.strip().lower()
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = _number(value)
    return None if text in _UNSAID else VALUES.get(dimension, {}).get(text, text)


def _number(value: object) -> str:
    """Write a number plainly; "" for what is none, or absurd."""
    if not isinstance(value, int | Decimal):
        return ""
    number = Decimal(value)
    if not number.is_finite() or not -_DIGITS_MAX <= number.adjusted() <= _DIGITS_MAX:
        return ""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
