from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.engine.made import START
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.packed import pack, unpack
from tokenmeter.engine.store.rows import COST, LABEL_CHARS_MAX, LABELS, to_row
from tokenmeter.engine.store.shapes import quick_row
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


@given(st.dictionaries(named, odd, max_size=6), st.lists(odd, min_size=4, max_size=4))
def test_the_quick_way_to_a_row_is_the_same_way(
    properties: dict[str, Any], texts: list[Any]
) -> None:
    plain = [text if isinstance(text, str) else "evt_1" for text in texts]
    for name, customer, event_id, source in (plain, ["n", "c", "e", "s"], texts):
        event = Event(name, event_id, customer, START, properties, source)
        quick = quick_row(event, "env")
        if quick is not None:
            assert quick == to_row(event, "env")
            assert quick.labels is to_row(event, "env").labels


def test_an_event_as_capture_makes_them_takes_the_quick_way() -> None:
    event = Event("n", "evt_1", "c", START, {"model": "m", "input_tokens": 5, COST: "0.17"})
    assert quick_row(event) == to_row(event)


@pytest.mark.parametrize("value", [True, 2**63, 1.0, "x\x00", "\ud800"])
def test_what_is_not_plain_takes_the_long_way(value: Any) -> None:
    for name in ("model", "own", "run_id"):
        assert quick_row(Event("n", "evt_1", "c", START, {name: value})) is None
    assert quick_row(Event("n", "evt_1", "c", START, {COST: "1e3x"})) is None
