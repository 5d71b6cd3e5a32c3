from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.engine.made import START
from tests.engine.made import made as made_event
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store import shapes
from tokenmeter.engine.store.packed import pack, pack_all, unpack
from tokenmeter.engine.store.rows import (
    COST,
    EVENT_BYTES_MAX,
    LABEL_CHARS_MAX,
    LABELS,
    NAME_CHARS_MAX,
    Refusal,
    Row,
    to_row,
)
from tokenmeter.engine.store.shapes import FEW, to_rows
from tokenmeter.event import Event

ON_BOTH_DATABASES = True
storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=9)


@given(storable)
@example("evt_0123456789abcdef0123456789abcdef")
@example("evt_0123456789ABCDEF0123456789ABCDEF")
@example("evt_0123456789abcdef0123456789abcde")
@example("run_evt_0123456789abcdef0123456789abcdef")
@example("0123456789abcdef0123456789abcdef")
@example("\u0660" * 32)
@example("\x01" + "a" * 16)
@example("")
def test_an_id_comes_back_as_it_was_packed(text: str) -> None:
    assert unpack(pack(text)) == text


ids = st.one_of(
    storable,
    st.sampled_from(["evt_", "run_", "", "x"]).flatmap(
        lambda prefix: st.text("0123456789abcdefA ", min_size=31, max_size=33).map(prefix.__add__)
    ),
)
alike = st.text("0123456789abcdef", min_size=32, max_size=32).map("evt_".__add__)


@given(st.one_of(st.lists(ids), st.lists(alike), st.tuples(alike, ids).map(list)))
def test_many_ids_are_packed_as_each_is(texts: list[str]) -> None:
    assert pack_all(texts) == [pack(text) for text in texts]


def test_an_id_of_our_own_takes_17_bytes() -> None:
    assert len(pack("evt_0123456789abcdef0123456789abcdef")) == 17


def test_no_two_ids_are_packed_alike() -> None:
    hexadecimal = "0123456789abcdef" * 2
    ids = [f"{prefix}{hexadecimal}" for prefix in ("", "evt_", "run_", "call_", "x_")]
    ids += [name.upper() for name in ids]
    assert len({pack(name) for name in ids}) == len(set(ids))


def test_long_and_short_values_of_every_label_come_out_as_they_went_in(engine: Engine) -> None:
    names = sorted(LABELS - {"environment"})
    events = [
        Event("text_generated", f"evt_{at}", "cust_1", START, {name: value, "own": at})
        for at, (name, value) in enumerate(
            (name, value)
            for name in names
            for value in ("a", "ä" * LABEL_CHARS_MAX, "x" * (LABEL_CHARS_MAX + 1), 7)
        )
    ]
    engine.ingest(events)
    assert list(engine.events(limit=1000).events) == events[::-1]
    for name in names:
        groups = {row.group[name] for row in engine.usage(by=[name]) if row.group[name]}
        assert len(groups) == (1 if name == "billable" else 4)  # all but "false" are


odd = st.one_of(
    storable,
    st.text(max_size=3),  # NUL and surrogates too
    st.sampled_from(["1", "1.5", "-1", "1e3", " 1", "x" * (LABEL_CHARS_MAX + 1), "", " ", "٣"]),
    st.integers(-(2**64), 2**64),
    st.booleans(),
    st.sampled_from([1.0, 1.5, float("nan"), Decimal("1.50"), None, [1]]),
)
named = st.sampled_from(
    [
        *sorted(LABELS)[:6],
        "model",
        "run_id",
        "call_id",
        "input_tokens",
        COST,
        "own",
        "%s",
        'a"',
        "",
    ]
)


def long_way(events: list[Event]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    told: list[str] = []
    for event in events:
        try:
            rows.append(to_row(event, "env"))
        except Refusal as refusal:
            told.append(str(refusal))
    return rows, told


def quick_way(events: list[Event]) -> tuple[list[Row], list[str]]:
    rows, refused = to_rows(events, "env")
    return [rows.row(at) for at in range(len(rows))], [str(why) for _event, why in refused]


LONGEST, TOO_LONG = "n" * NAME_CHARS_MAX, "n" * (NAME_CHARS_MAX + 1)
LATEST = datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
LAST_YEAR = datetime(9999, 1, 1, tzinfo=UTC)
TOO_LATE = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
lengths = st.sampled_from([LONGEST, TOO_LONG])
made = st.builds(
    Event,
    st.one_of(st.just("n"), lengths, odd),
    st.one_of(st.just("evt_1"), lengths, odd),
    st.one_of(st.just("c"), lengths, odd),
    st.sampled_from(
        [START, START.replace(tzinfo=None), START.replace(year=1969), LATEST, TOO_LATE]
    ),
    st.dictionaries(named, odd, max_size=6),
    st.one_of(st.just("s"), odd),
)


@given(st.lists(made, max_size=8), st.lists(st.integers(0, 7), max_size=3 * FEW), st.data())
def test_the_quick_way_to_rows_is_the_same_way(
    kinds: list[Event], again: list[int], data: st.DataObject
) -> None:
    events = [*kinds, *(kinds[at] for at in again if at < len(kinds))]
    for name, at in ((name, at) for name in ("own", "model", COST) for at in again[:3]):
        if at < len(kinds):  # one of many is odd
            events.append(kinds[at].with_properties({name: data.draw(odd)}))
    rows, told = quick_way(events)
    assert (rows, told) == long_way(events)
    assert all(
        row.labels is other.labels for row, other in zip(rows, long_way(events)[0], strict=True)
    )


def test_events_as_capture_makes_them_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    mores: list[dict[str, Any]] = [
        {},
        {"run_id": "run_1", "note": '"ä" 100%'},
        {"run_id": 7, "size": "s"},
    ]
    events = [
        Event("n", f"evt_{at}", "ä", START, {"model": "m", "input_tokens": at, COST: cost, **more})
        for at, cost in enumerate(["0.17", "1", "2E-7", "12.5E-19"])
        for more in mores
    ]
    expected = long_way(events)
    monkeypatch.setattr(shapes, "to_row", None)
    assert quick_way(events) == expected


@pytest.mark.parametrize("value", [True, 2**63, 1.0, "x\x00", "\ud800"])
def test_what_is_not_plain_takes_the_long_way(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = [Event("n", f"evt_{at}", "c", START, {"own": at}) for at in range(2 * FEW)]
    monkeypatch.setattr(shapes, "to_row", _refuse)
    for name in ("model", "own", "run_id"):
        told = quick_way([*fine, Event("n", "evt_1", "c", START, {name: value})])[1]
        assert told[-1] == "looked at"
    told = quick_way([*fine, Event("n", "evt_1", "c", START, {COST: "1e3x"})])[1]
    assert told == ["looked at"]


def _refuse(*_arguments: object) -> None:
    raise Refusal("looked at")


def test_a_large_event_is_refused_and_its_neighbours_are_stored() -> None:
    events = [Event("n", f"evt_{at}", "c", START, {"own": "x"}) for at in range(3 * FEW)]
    events[20] = events[20].with_properties({"own": "x" * EVENT_BYTES_MAX})
    events[21] = events[21].with_properties({"own": "x" * (EVENT_BYTES_MAX // 2)})
    rows, told = quick_way(events)
    assert [row.event_id for row in rows] == [e.event_id for e in events if e is not events[20]]
    assert told == [f"it is larger than {EVENT_BYTES_MAX} bytes"]


@pytest.mark.parametrize("name", ["event_id", "event_name", "external_customer_id"])
@pytest.mark.parametrize("count", [1, 2 * FEW])
def test_a_name_longer_than_an_index_takes_is_refused(
    engine: Engine, name: str, count: int
) -> None:
    fine = [made_event(f"evt_{at}") for at in range(count)]
    told: dict[str, Any] = {"event_id": "evt_last", name: LONGEST}
    long = replace(fine[0], **(told | {name: TOO_LONG}))
    longest = replace(fine[0], **told)
    receipt = engine.ingest([*fine, long, longest])
    assert [why.reason for why in receipt.rejected] == [f"{name} has more than 255 characters"]
    assert receipt.accepted == count + 1
    assert list(engine.events(limit=100).events) == [longest, *reversed(fine)]


@pytest.mark.parametrize("count", [1, 2 * FEW])
def test_a_time_that_could_not_be_read_again_is_refused(engine: Engine, count: int) -> None:
    fine = [made_event(f"evt_{at}", at=LATEST) for at in range(count)]
    receipt = engine.ingest([*fine, made_event("late", at=TOO_LATE), made_event(at=LAST_YEAR)])
    assert receipt.accepted == count
    reason = "the timestamp lies before 1970 or after 9998"
    assert [why.reason for why in receipt.rejected] == [reason] * 2
    assert len(engine.events(limit=100).events) == count
