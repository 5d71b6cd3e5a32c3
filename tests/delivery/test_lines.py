"""Reading a line of the journal the fast way gives what the plain way gives, or nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.records import event
from tokenmeter.event import Event
from tokenmeter.lines import event_of, record_of, to_line

TEXTS = st.text(max_size=12) | st.sampled_from(["1.5", "NaN", "Infinity", "-0", "1e400", "x"])
VALUES = (
    TEXTS
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.decimals()
    | st.integers(min_value=2**63)
)
NAMES = st.sampled_from(["input_tokens", "video_seconds", "model", "attempt"]) | TEXTS
TIMES = st.sampled_from(
    [
        "2026-11-21T10:00:00.123Z",
        "2026-11-21T10:00:00.123456+05:30",
        "2026-11-21T10:00:00",
        "2026-11-21",
        "20261121T100000Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:00:60Z",
        "0001-01-01T00:00:00+01:00",
        "yesterday",
        1_700_000_000,
        None,
    ]
)
RECORDS = st.fixed_dictionaries(
    {
        "event_name": TEXTS,
        "event_id": TEXTS,
        "external_customer_id": TEXTS,
        "timestamp": TIMES,
        "properties": st.dictionaries(NAMES, VALUES, max_size=5),
    },
    optional={"source": TEXTS, "job": TEXTS, "more": VALUES},
)


def read_plainly(line: bytes) -> Event | None:
    """As it was read before there was a faster way; None where that fails."""
    record = record_of(line)
    try:
        return None if record is None else Event.from_dict(record)
    except Exception:  # whatever it is: the fast way must not read it either
        return None


@given(RECORDS)
def test_what_is_read_fast_is_what_is_read_plainly(record: dict[str, Any]) -> None:
    line = json.dumps(record, default=str).encode()
    fast = event_of(line)
    assert fast is None or repr(fast) == repr(read_plainly(line))


@given(RECORDS, st.data())
def test_a_line_damaged_anywhere_is_read_alike_or_not_at_all(
    record: dict[str, Any], data: st.DataObject
) -> None:
    line = bytearray(
        json.dumps(record, default=str, ensure_ascii=False).encode("utf-8", "replace")
    )
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    fast = event_of(bytes(line))
    assert fast is None or repr(fast) == repr(read_plainly(bytes(line)))


@pytest.mark.parametrize(
    "properties",
    [
        {"input_tokens": 12, "model": "gpt-5", "attempt": 1},
        {"video_seconds": "1.5", "model": "1.5"},
        {"input_tokens": 10**25},
        {},
    ],
)
def test_an_event_of_the_journal_is_read_fast(properties: dict[str, Any]) -> None:
    line = to_line({**event("evt_1").to_record(), "properties": properties})
    assert event_of(line) is not None
    assert event_of(line[:-1]) == read_plainly(line)


def test_a_metric_written_as_text_is_a_decimal_and_a_dimension_stays_text() -> None:
    properties = {"video_seconds": "1.50", "fps": "24"}
    found = event_of(to_line({**event("evt_1").to_record(), "properties": properties}))
    assert found is not None
    assert repr(found.properties["video_seconds"]) == repr(Decimal("1.50"))
    assert found.properties["fps"] == "24"


@pytest.mark.parametrize("more", [{"job": "j1"}, {"guessed": []}, {"v": 2}], ids=str)
def test_a_record_with_more_than_an_event_is_not_taken_for_one(more: dict[str, Any]) -> None:
    assert event_of(to_line({**event("evt_1").to_record(), **more})) is None
