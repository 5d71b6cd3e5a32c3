from __future__ import annotations

from datetime import timedelta

import pytest

from tests.engine.made import START, made, numbered
from tokenmeter.engine.local import Engine
from tokenmeter.errors import QueryError

ON_BOTH_DATABASES = True


def test_events_come_newest_first_whatever_order_they_arrived_in(engine: Engine) -> None:
    batch = numbered(5)
    engine.ingest([batch[i] for i in (3, 0, 4, 1, 2)])
    assert list(engine.events().events) == batch[::-1]


def test_pages_hold_every_event_once_also_while_new_ones_arrive(engine: Engine) -> None:
    together = [made(f"evt_{i}", at=START) for i in range(7)]  # one instant: arrival decides
    engine.ingest(together)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = engine.events(limit=3, cursor=cursor)
        assert list(page) == list(page.events)
        seen += [event.event_id for event in page.events]
        engine.ingest([made(f"later_{len(seen)}", at=START + timedelta(days=1))])
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"evt_{i}" for i in reversed(range(7))]


def test_the_last_full_page_has_no_cursor(engine: Engine) -> None:
    engine.ingest(numbered(4))
    assert engine.events(limit=4).cursor is None
    assert engine.events(limit=3).cursor is not None


def test_filters_and_times_choose_events(engine: Engine) -> None:
    engine.ingest(numbered(5))
    engine.ingest([made("other", customer="cust_2", properties={"outcome": "failed"})])
    failed = engine.events(filters={"outcome": "failed"})
    assert [event.event_id for event in failed.events] == ["other"]
    some = engine.events(
        filters={"customer": ["cust_1", "cust_3"]},
        start=START + timedelta(seconds=1),
        end=START + timedelta(seconds=3),
    )
    assert [event.event_id for event in some.events] == ["evt_2", "evt_1"]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_size(engine: Engine, limit: int) -> None:
    with pytest.raises(QueryError, match="1 to 1000"):
        engine.events(limit=limit)


@pytest.mark.parametrize("cursor", ["", "x", "1-2; DROP TABLE events", "1", "-1-2"])
def test_a_cursor_that_is_not_ours_is_refused(engine: Engine, cursor: str) -> None:
    with pytest.raises(QueryError, match="cursor"):
        engine.events(cursor=cursor)
