from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.engine.made import START
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.packed import pack, unpack
from tokenmeter.engine.store.rows import LABEL_CHARS_MAX, LABELS
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
