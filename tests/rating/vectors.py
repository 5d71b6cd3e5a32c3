"""Read the vectors, and compare what they expect with what tokenmeter answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from tokenmeter.event import parse_timestamp

SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "flexprice.json"
PATH = Path(os.environ.get("TOKENMETER_VECTORS", SHARED))

GO_ZERO_TIME = "0001-01-01T00:00:00Z"  # what Go calls no time

Input = dict[str, Any]  # a row's input is foreign JSON
Adapter = Callable[[Input], Mapping[str, object]]


def rows() -> list[dict[str, Any]]:
    """All rows; none when the shared file is not there. A file that was named must be."""
    if PATH == SHARED and not PATH.exists():
        return []
    held: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))
    return held


def moment(text: str) -> datetime:
    """A time as a row writes it, perhaps with a remark behind it."""
    return parse_timestamp(text.split(" ")[0])


def day(text: str | None) -> datetime | None:
    """A date or a time; None stays open."""
    return None if text is None else moment(text)


def decimal(value: object) -> Decimal:
    """A number or a numeric string, exactly."""
    return Decimal(str(value))


def same(expected: object, actual: object) -> bool:
    """Compare by value: numbers as numbers, times as moments; every expected key counts."""
    if expected is None or isinstance(expected, bool):
        return actual is expected
    if expected == GO_ZERO_TIME:
        return actual is None
    if isinstance(actual, Decimal | int) and isinstance(expected, str | int | float):
        return decimal(expected) == actual
    if isinstance(actual, datetime):
        return isinstance(expected, str) and moment(expected) == actual
    if isinstance(expected, Mapping):
        return _same_mapping(cast("Mapping[str, object]", expected), actual)
    if isinstance(expected, list):
        return _same_list(cast("list[object]", expected), actual)
    return expected == actual


def _same_mapping(expected: Mapping[str, object], actual: object) -> bool:
    if not isinstance(actual, Mapping):
        return False
    held = cast("Mapping[str, object]", actual)
    return all(key in held and same(value, held[key]) for key, value in expected.items())


def _same_list(expected: list[object], actual: object) -> bool:
    if not isinstance(actual, Sequence) or isinstance(actual, str):
        return False
    held = cast("Sequence[object]", actual)
    return len(expected) == len(held) and all(map(same, expected, held))
