"""A JSON text of any size is kept in little memory, and what is left is the same JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.play import chunks_of
from tokenmeter.capture import squeeze
from tokenmeter.capture.squeeze import KEEP_BYTES, VALUE_BYTES_MAX, Squeezed


def squeezed(text: bytes, size: int) -> Squeezed:
    made = Squeezed()
    for chunk in chunks_of(text, size):
        made.feed(chunk)
    return made


def is_cut_of(left: Any, original: Any) -> bool:
    """Whether `left` is `original` with some long strings and lists of numbers emptied."""
    if left == original:
        return True
    if isinstance(original, dict) and isinstance(left, dict):
        return list(left) == list(original) and all(
            is_cut_of(left[key], original[key]) for key in original
        )
    if left == "":
        return isinstance(original, str) and len(json.dumps(original)) > VALUE_BYTES_MAX
    if left == [] or not isinstance(original, list):
        return left == [] and len(json.dumps(original)) > VALUE_BYTES_MAX
    return len(left) == len(original) and all(map(is_cut_of, left, original))


def repeated(piece: str, count: int) -> str:
    return piece * count


LONG = st.builds(
    repeated,
    st.text(st.sampled_from('a"\\/\n {}[],:é😀'), min_size=1, max_size=7),
    st.integers(0, 20_000),
)
SHORT = st.one_of(
    st.integers(-9, 10**12), st.booleans(), st.none(), st.floats(0, 9), st.text(max_size=9)
)
NUMBERS = st.integers(0, 9_000).map(lambda count: [0.125] * count)
VALUES = st.recursive(
    st.one_of(SHORT, LONG, NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=VALUES, escaped=st.booleans(), size=st.sampled_from([997, 4_096, 65_536, 10**6]))
def test_what_is_left_differs_only_in_emptied_long_values(
    value: Any, escaped: bool, size: int
) -> None:
    text = json.dumps({"value": value, "usage": {"tokens": 7}}, ensure_ascii=escaped).encode()
    made = squeezed(text, size)
    left = json.loads(made.kept)
    assert left["usage"] == {"tokens": 7}
    assert is_cut_of(left["value"], value)


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
@pytest.mark.parametrize("end", ["", "\\", '"', '\\"', "\\\\", "😀", '[1,2]"'])
def test_a_cut_string_ends_at_its_own_quote_wherever_the_chunks_end(end: str, size: int) -> None:
    value = {"a": "x" * KEEP_BYTES + end, "b": 1}
    text = json.dumps(value, ensure_ascii=False).encode()
    made = Squeezed()
    made.feed(text[: KEEP_BYTES + 100])
    for chunk in chunks_of(text[KEEP_BYTES + 100 :], size):
        made.feed(chunk)
    assert is_cut_of(json.loads(made.kept), value)


def test_up_to_the_limit_nothing_is_changed() -> None:
    text = json.dumps({"a": "x" * (KEEP_BYTES - 9)}).encode()
    assert len(text) == KEEP_BYTES
    assert bytes(squeezed(text, 100).kept) == text
    assert json.loads(squeezed(text + b" ", 100).kept) == {"a": ""}


@pytest.mark.parametrize("size", [100, 65_536])
def test_ten_megabytes_of_image_leave_a_few_bytes(size: int) -> None:
    text = b'{"data": [{"b64_json": "' + b"A" * 10_000_000 + b'"}], "n": [1, 2]}'
    made = Squeezed()
    most = 0
    for chunk in chunks_of(text, size):
        made.feed(chunk)
        most = max(most, len(made.kept))
    assert json.loads(made.kept) == {"data": [{"b64_json": ""}], "n": [1, 2]}
    assert most <= 2 * KEEP_BYTES


def test_embedding_vectors_are_emptied() -> None:
    value = {"data": [{"embedding": [-0.0123456789e-3] * 3_000}] * 40, "usage": {"n": 1}}
    made = squeezed(json.dumps(value).encode(), 8_192)
    left = json.loads(made.kept)
    assert len(left["data"]) == 40
    assert left["data"][0] == {"embedding": []}
    assert left["usage"] == {"n": 1}


def test_what_cannot_be_cut_is_given_up_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squeeze, "SKELETON_BYTES_MAX", 300_000)
    made = Squeezed()
    for _ in range(3):
        made.feed(b'"short",' * 37_500)
    assert made.overflowed
    assert not made.kept
    made.feed(b"more")
    assert not made.kept
