from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from tests.engine.made import START, made, numbered
from tokenmeter.engine.ingest import DIFFERENCE_BYTES_MAX
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.rows import EVENT_BYTES_MAX
from tokenmeter.event import Event

ON_BOTH_DATABASES = True


def stored(engine: Engine) -> list[Event]:
    return list(engine.events(limit=1000).events)


def test_an_event_comes_out_as_it_went_in(engine: Engine) -> None:
    event = made(
        at=START + timedelta(microseconds=123456),
        properties={
            "input_tokens": 12,
            "audio_seconds": Decimal("1.50"),
            "model": "gpt-4o",
            "Größe 画像": "ja, \\ and \"quotes\" and 'these' and \\u0000",
            "environment": "prod",
        },
    )
    assert engine.ingest([event]).accepted == 1
    assert stored(engine) == [event]


def test_a_resent_batch_changes_nothing(engine: Engine) -> None:
    batch = numbered(20)
    first, second = engine.ingest(batch), engine.ingest(batch)
    assert (first.accepted, first.rejected) == (20, ())
    assert second == first
    assert len(stored(engine)) == 20
    assert engine.conflicts() == []


def test_a_copy_within_one_batch_counts_once(engine: Engine) -> None:
    assert engine.ingest([made(), made(), made("evt_2")]).accepted == 3
    assert len(stored(engine)) == 2
    assert engine.conflicts() == []


@pytest.mark.parametrize(
    ("copy", "difference"),
    [
        (made(customer="cust_2"), "customer is cust_2, stored is cust_1"),
        (made(event_name="api_calls"), "event_name is api_calls, stored is text_generated"),
        (
            made(properties={"input_tokens": 11, "output_tokens": 5}),
            "input_tokens is 11, stored is 10",
        ),
        (made(properties={"input_tokens": 10}), "output_tokens is missing, stored is 5"),
        (
            made(properties={"input_tokens": 10, "output_tokens": 5, "image_count": 1}),
            "image_count is 1, stored is missing",
        ),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_the_first_of_two_different_copies_wins_and_the_other_is_a_visible_conflict(
    engine: Engine,
    copy: Event,
    difference: str,
    together: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batches = [[made(), copy]] if together else [[made()], [copy]]
    receipts = [engine.ingest(batch) for batch in batches]
    assert sum(receipt.accepted for receipt in receipts) == 2
    assert not any(receipt.rejected for receipt in receipts)
    assert stored(engine) == [made()]
    assert [found.difference for found in engine.conflicts()] == [difference]
    assert "1 events came again with other contents" in caplog.text


def test_a_conflict_that_comes_again_is_kept_and_logged_once(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    engine.ingest([made()])
    for _ in range(3):
        engine.ingest([made(customer="cust_2")])
    assert len(engine.conflicts()) == 1
    assert len(caplog.records) == 1


def test_a_copy_with_another_cost_or_the_same_number_as_text_is_no_conflict(
    engine: Engine,
) -> None:
    engine.ingest([made(properties={"input_tokens": 8, "cost_usd": "0.17"})])
    engine.ingest([made(properties={"input_tokens": Decimal("8.0"), "cost_usd": "0.18"})])
    assert engine.conflicts() == []


def test_a_conflict_of_the_longest_names_is_kept_and_shortened(engine: Engine) -> None:
    rng = random.Random(3)  # what cannot be compressed
    names = ["".join(chr(rng.randrange(0x1F300, 0x1F5FF)) for _ in range(255)) for _ in range(3)]
    for customer in names[:2]:
        engine.ingest([made(names[2], customer=customer, properties={"input_tokens": 1})])
    (found,) = engine.conflicts()
    assert (found.event_id, found.difference[:12]) == (names[2], f"customer is {names[1]}"[:12])
    assert len(found.difference.encode()) <= DIFFERENCE_BYTES_MAX
    assert found.difference.endswith("...")


def test_one_event_id_is_two_events_in_two_environments(engine: Engine) -> None:
    for environment in ("prod", "test"):
        engine.ingest([made(properties={"input_tokens": 1})], environment=environment)
    engine.ingest([made(properties={"input_tokens": 1})])
    assert len(stored(engine)) == 3
    assert engine.conflicts() == []


def test_a_batch_of_new_events_and_copies_says_what_each_copy_differs_in(engine: Engine) -> None:
    engine.ingest(numbered(20))
    new, again = made("evt_new"), made("evt_new", properties={"input_tokens": 7})
    other = made("evt_3", customer="cust_2", at=START + timedelta(seconds=3))
    batch = [*numbered(5), new, other, again, new, *numbered(25)]
    assert engine.ingest(batch).accepted == len(batch)
    assert {event.event_id for event in stored(engine)} == {
        event.event_id for event in [new, *numbered(25)]
    }
    assert sorted((c.event_id, c.difference) for c in engine.conflicts()) == [
        ("evt_3", "customer is cust_2, stored is cust_1"),
        ("evt_new", "input_tokens is 7, stored is 10; output_tokens is missing, stored is 5"),
    ]


def test_copies_beyond_one_query_are_all_compared(engine: Engine) -> None:
    batch = numbered(1200)
    engine.ingest(batch)
    changed = [made(event.event_id, customer="cust_2", at=event.timestamp) for event in batch]
    engine.ingest(changed)
    assert len(engine.conflicts(limit=2000)) == 1200


def wrong(**fields: Any) -> Event:
    """An event as JSON that nobody checked may make it."""
    good: dict[str, Any] = {
        "event_name": "text_generated",
        "event_id": "evt_wrong",
        "external_customer_id": "cust_1",
        "timestamp": START,
        "properties": {},
    }
    return Event(**{**good, **fields})


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (wrong(event_name=" "), "event_name is missing"),
        (wrong(external_customer_id=""), "external_customer_id is missing"),
        (wrong(event_id=None), "event_id is missing"),
        (wrong(timestamp=datetime(2026, 1, 1)), "the timestamp has no time zone"),  # noqa: DTZ001
        (
            wrong(timestamp=START.replace(year=1969)),
            "the timestamp lies before 1970 or after 9998",
        ),
        (wrong(properties={"input_tokens": "many"}), "input_tokens is not a number"),
        (wrong(properties={"input_tokens": Decimal("1e999")}), "input_tokens is not a number"),
        (wrong(properties={"cost_usd": ""}), "cost_usd is not a number"),
        (
            wrong(properties={"x": Decimal("NaN")}),
            "the property 'x' is neither text nor a finite number",
        ),
        (
            wrong(properties={"x": float("inf")}),
            "the property 'x' is neither text nor a finite number",
        ),
        (
            wrong(properties={"x": 10**5000}),
            "the property 'x' is neither text nor a finite number",
        ),
        (
            wrong(properties={"x": {"nested": 1}}),
            "the property 'x' is neither text nor a finite number",
        ),
        (wrong(properties={"": "x"}), "a property has no name"),
        (wrong(properties={"x": "a\x00b"}), "a text in it holds a NUL character"),
        (wrong(external_customer_id="a\x00b"), "a text in it holds a NUL character"),
        (wrong(properties={"x": "\ud800"}), "a text in it is not valid Unicode"),
        (
            wrong(properties={"x": "x" * EVENT_BYTES_MAX}),
            f"it is larger than {EVENT_BYTES_MAX} bytes",
        ),
    ],
)
def test_an_event_that_cannot_be_stored_is_rejected_with_the_reason_and_blocks_no_other(
    engine: Engine, event: Event, reason: str
) -> None:
    receipt = engine.ingest([made("evt_1"), event, made("evt_2")])
    assert receipt.accepted == 2
    assert [(r.event_id, r.reason) for r in receipt.rejected] == [(str(event.event_id), reason)]
    assert {kept.event_id for kept in stored(engine)} == {"evt_1", "evt_2"}


def test_booleans_and_floats_from_json_become_what_filters_compare(engine: Engine) -> None:
    loose = cast(Any, {"audio": True, "fps": 24.0, "share": 0.1, "huge": 2**63, "on": False})
    engine.ingest([made(properties=loose)])
    for name, text in {"audio": "true", "fps": "24", "share": "0.1", "on": "false"}.items():
        assert engine.usage(by=[name])[0].group == {name: text}
    assert engine.usage(by=["huge"])[0].group == {"huge": str(2**63)}


def test_an_empty_batch_is_accepted(engine: Engine) -> None:
    assert engine.ingest([]).accepted == 0
