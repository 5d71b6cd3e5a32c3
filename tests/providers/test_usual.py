"""A body that is parsed the fast way is the object that `json` makes of it, or left to `json`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.providers.usual import object_of

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=16,
)
OBJECTS = st.dictionaries(st.text(), VALUES)


def typed(value: object) -> object:
    """Name the type of each number: 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return [(name, typed(inner)) for name, inner in value.items()]
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return type(value).__name__, repr(value)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 2]))
def test_an_object_is_parsed_as_json_does(
    value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    encoded = body.encode(errors="surrogatepass")
    found = object_of(encoded)
    if found is None:  # half of a character
        assert any(0xD800 <= ord(c) <= 0xDFFF for c in repr(value)) or "\\ud" in body
    else:
        assert typed(found) == typed(json.loads(encoded))


@given(OBJECTS, st.data())
def test_a_body_with_one_byte_changed_is_parsed_as_json_does_or_left_to_it(
    value: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(json.dumps(value), "ascii")
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    found = object_of(bytes(body))
    if found is not None:
        assert typed(found) == typed(json.loads(bytes(body)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b'"a"',
        b"7",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b"[" * 9**5,
    ],
)
def test_what_is_no_usual_object_is_left_to_json(body: bytes) -> None:
    assert object_of(body) is None
