"""Junk in any place of a payload, and what must hold of whatever is read from it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tokenmeter.providers import Call, Reading
from tokenmeter.usage import METRICS, Number

HUGE = 10**15  # too large for a count, and for the length of anything
JUNK: tuple[Any, ...] = (
    *(None, True, False, -1, -7.5, 0.5, HUGE, 1e300, float("nan"), float("inf")),
    *("", "12", "prompt text", "2026-01-01", "x" * 5_000),
    *([], [7], ["x"], {}, {"usage": 3}, [[{}]]),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, itself left out."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:3]))
    return [place for key, part in inner for place in ((*at, key), *places(part, (*at, key)))]


def replaced(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    if not place:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(value[place[0]], place[1:], by)
    return copy


@st.composite
def spoiled(draw: st.DrawFn, payloads: list[Any]) -> list[Any]:
    """The payloads, with junk in one to three places."""
    found = list(payloads)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found) - 1))
        known = places(found[at])
        if known:
            found[at] = replaced(found[at], draw(st.sampled_from(known)), draw(sampled()))
    return found


def sampled() -> st.SearchStrategy[Any]:
    return st.sampled_from(JUNK)


def settled(call: Call, payloads: list[Any]) -> Reading:
    """Fold what are payloads as capture does, read their texts, and settle."""
    reading = Reading()
    for payload in payloads:
        if isinstance(payload, dict):
            read = call.api.read(payload)
            reading = reading.plus(read) if call.api.adds else reading | read
            assert call.api.text is None or isinstance(call.api.text(payload), str)
    return call.api.settle(reading, call)


def numbers(value: Any) -> set[int]:
    """Every whole number on the wire."""
    if isinstance(value, dict):
        return set().union(*(numbers(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(numbers(item) for item in value))
    return {value} if isinstance(value, int) and not isinstance(value, bool) else set()


def is_sound(number: Number) -> bool:
    return type(number) in (int, Decimal) and 0 <= number < HUGE


def counted(value: Any) -> float:
    """The sum of all numbers in a JSON value: what can be counted of it cannot be more."""
    if isinstance(value, dict | list):
        return sum(counted(v) for v in (value.values() if isinstance(value, dict) else value))
    return value if isinstance(value, int | float) else 0


def check(reading: Reading, usage_max: float | Number) -> None:
    """Junk has become no number, no name and no text; `usage_max` bounds the honest counts."""
    for usage in (reading.usage, *(part.usage for part in reading.parts)):
        assert all(metric in METRICS and is_sound(number) for metric, number in usage.items())
        assert sum(usage.values()) <= usage_max
    strings = (reading.model, reading.response_id, reading.error_type)
    assert all(value is None or len(value) <= 200 for value in strings)
    assert all(isinstance(value, str) for value in reading.dimensions.values())
    assert reading.error_type != "prompt text"
    assert not reading.raw
