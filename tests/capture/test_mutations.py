"""Recorded exchanges, damaged at random: no fault of ours, no changed byte, no junk number."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture.alike import Alike
from tests.capture.alike import alike as alike  # the fixture
from tests.capture.play import Answer, chunks_of
from tests.corpus import CORPUS, Exchange, load
from tokenmeter import Event

EXCHANGES = [e for e in (load() if CORPUS.is_dir() else ()) if len(e.body) < 200_000]
pytestmark = pytest.mark.skipif(not EXCHANGES, reason=f"no corpus at {CORPUS}")

JUNK: list[Any] = [
    *(-1, 0, 7, 10**30, 1.5, -0.0, 1e300, float("nan"), float("inf"), 10**12 + 1),
    *(True, False, None, "", "x", "12", "\ud800", "a\x00b", "x" * 5_000),
    *([], [1], [[]], {}, {"a": 1}, {"usage": {"input_tokens": 5}}, [{"type": "message"}]),
]
ZERO = re.compile(rb'[Tt]oken\w*"\s*:\s*-?0(\.0)?\b')
INSERTED = [b"\x00", b"\xff\xfe", b"\n\n", b"\r\n\r\n", b"data: {}\n\n", b"[" * 50, b"}", b'"']


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, objects and lists included."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:10]))
    found = [(*path, key) for key, _ in inner]
    for key, each in inner:
        found += places(each, (*path, key))
    return found


def with_junk(text: str, draw: Any) -> str:
    """Replace some values of a JSON text."""
    value = json.loads(text)
    where = places(value)
    for place in draw(st.lists(st.sampled_from(where), min_size=1, max_size=3)) if where else ():
        at = value
        try:
            for key in place[:-1]:
                at = at[key]
            at[place[-1]] = copy.deepcopy(draw(st.sampled_from(JUNK)))
        except (TypeError, KeyError, IndexError):
            continue  # an earlier one has taken this place away
    return json.dumps(value)


def damaged_json(body: bytes, draw: Any) -> bytes:
    """Damage the JSON of a body, or of some of its events."""
    lines = body.decode(errors="surrogateescape").split("\n")
    events = [n for n, line in enumerate(lines) if line.startswith("data: {")]
    try:
        if not events:
            return with_junk("\n".join(lines), draw).encode()
        chosen = draw(st.lists(st.sampled_from(events[:3] + events[-3:]), min_size=1, max_size=3))
        for n in chosen:
            lines[n] = "data: " + with_junk(lines[n][6:], draw)
    except ValueError:
        return body[:-1]
    return "\n".join(lines).encode(errors="surrogateescape")


@st.composite
def damaged(draw: Any, among: Sequence[Exchange] = EXCHANGES) -> tuple[Exchange, bytes, int]:
    """A recorded exchange, its damaged answer, and the size of the chunks."""
    exchange: Exchange = draw(st.sampled_from(among))
    body = exchange.body
    at = draw(st.integers(0, len(body)))
    match draw(st.sampled_from(["json", "json", "json", "cut", "flip", "insert", "twice"])):
        case "json":
            body = damaged_json(body, draw)
        case "cut":
            body = body[:at]
        case "flip":
            body = body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
        case "insert":
            body = body[:at] + draw(st.sampled_from(INSERTED)) + body[at:]
        case _:
            body = body + body
    return exchange, body, draw(st.sampled_from([7, 61, 1_000, 10**7]))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(damaged())
def test_damaged_recordings_are_handed_on_and_leave_no_junk(
    alike: Alike, found: tuple[Exchange, bytes, int]
) -> None:
    exchange, body, size = found

    def send(client: Any) -> tuple[int, bytes]:
        request = exchange.request
        with client.stream(
            request["method"],
            exchange.url,
            headers=request["headers"],
            content=exchange.request_body,
        ) as response:
            return response.status_code, b"".join(response.iter_bytes())

    headers = exchange.response["headers"]
    answer = Answer(exchange.response["status"], headers, chunks_of(body, size))
    for event in alike(answer, send):
        assert_nothing_invented(event, body)


def assert_nothing_invented(event: Event, body: bytes) -> None:
    """Missing usage has no tokens, and a zero is one that the provider wrote."""
    if event.properties["usage_source"] == "missing":
        assert not {"input_tokens", "output_tokens", "total_tokens"} & event.usage.keys()
    flags = str(event.properties.get("flags", "")).split(",")
    for metric in ("input_tokens", "output_tokens", "total_tokens"):
        if event.usage.get(metric) == 0 and f"estimated:{metric}" not in flags:
            assert ZERO.search(body), f"{metric} is 0 and nobody said so"
