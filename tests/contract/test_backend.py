"""What every backend must do. Add a row to BACKENDS to try another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tokenmeter.delivery.backends import open_backend
from tokenmeter.delivery.backends.fanout import FanOut
from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.delivery.protocol import Backend, Receipt
from tokenmeter.engine.backend import LocalBackend
from tokenmeter.event import Event, Property

MOMENT = datetime(2026, 11, 21, 10, 0, 0, 123_000, tzinfo=UTC)
Read = Callable[[Backend], list[Event]]


@dataclass(frozen=True)
class Kind:
    """How to open a backend, and how to read back what it stored, if that can be done."""

    open: Callable[[Path], Backend]
    read: Read | None = None
    name: str = field(default="")


def _in_memory(backend: Backend) -> list[Event]:
    assert isinstance(backend, MemoryBackend)
    return backend.events


def _in_the_first(backend: Backend) -> list[Event]:
    assert isinstance(backend, FanOut)
    return _in_memory(backend.backends[0])


def _in_the_engine(backend: Backend) -> list[Event]:
    assert isinstance(backend, LocalBackend)
    return list(backend.engine.events(limit=1_000).events)


BACKENDS = {
    "memory": Kind(lambda path: open_backend("memory:"), _in_memory),
    "console": Kind(lambda path: open_backend("console:")),
    "fanout": Kind(lambda path: open_backend(["memory:", "console:"]), _in_the_first),
    "local": Kind(lambda path: open_backend(f"sqlite:///{path}/usage.db"), _in_the_engine),
}
READABLE = [name for name, kind in BACKENDS.items() if kind.read]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    opened = BACKENDS[request.param].open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(params=READABLE)
def stored(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Backend, Callable[[], dict[str, Event]]]]:
    kind = BACKENDS[request.param]
    opened = kind.open(tmp_path)

    def read() -> dict[str, Event]:
        assert kind.read is not None
        events = kind.read(opened)
        assert len({event.event_id for event in events}) == len(events)
        return {event.event_id: event for event in events}

    yield opened, read
    opened.close()


Stored = tuple[Backend, Callable[[], dict[str, Event]]]


def event(event_id: str, **properties: Property) -> Event:
    return Event("text_generated", event_id, "cust_001", MOMENT, properties)


def assert_accepted(receipt: Receipt, count: int) -> None:
    assert isinstance(receipt, Receipt)
    assert receipt.rejected == ()
    assert receipt.accepted == count


def test_it_is_a_backend(backend: Backend) -> None:
    assert isinstance(backend, Backend)


@pytest.mark.parametrize("size", [0, 1, 2, 500])
def test_a_batch_of_any_size_is_assert_accepted(backend: Backend, size: int) -> None:
    assert_accepted(backend.send([event(f"evt_{n}") for n in range(size)]), size)


def test_a_batch_may_be_a_tuple(backend: Backend) -> None:
    assert_accepted(backend.send((event("evt_1"),)), 1)


def test_the_same_batch_is_accepted_again(backend: Backend) -> None:
    batch = [event("evt_1"), event("evt_2")]
    assert_accepted(backend.send(batch), 2)
    assert_accepted(backend.send(batch), 2)


def test_a_copy_within_a_batch_is_assert_accepted(backend: Backend) -> None:
    assert_accepted(backend.send([event("evt_1"), event("evt_1")]), 2)


def test_it_can_be_used_from_another_thread_than_the_one_that_opened_it(backend: Backend) -> None:
    receipts: list[Receipt] = []
    thread = threading.Thread(target=lambda: receipts.append(backend.send([event("evt_1")])))
    thread.start()
    thread.join()
    assert_accepted(receipts[0], 1)


def test_closing_twice_does_no_harm(backend: Backend) -> None:
    backend.send([event("evt_1")])
    backend.close()
    backend.close()
    assert isinstance(backend, Backend)


def test_each_event_is_stored_once(stored: Stored) -> None:
    backend, read = stored
    backend.send([event("evt_1"), event("evt_2"), event("evt_2")])
    backend.send([event("evt_2"), event("evt_3")])
    assert read().keys() == {"evt_1", "evt_2", "evt_3"}


def test_the_first_of_two_copies_that_differ_stays(stored: Stored) -> None:
    backend, read = stored
    backend.send([event("evt_1", input_tokens=1)])
    backend.send([event("evt_1", input_tokens=2)])
    assert read()["evt_1"].properties["input_tokens"] == 1


def test_an_event_comes_back_as_it_was_sent(stored: Stored) -> None:
    backend, read = stored
    sent = Event(
        "image_generated",
        "evt_ünïcode_✓",
        "cust with 'quotes'; --",
        MOMENT - timedelta(days=400),
        {
            "model": "gpt-image-1",
            "billable": "true",
            "image_count": 3,
            "input_tokens": 2**53 + 1,
            "video_seconds": Decimal("1.25"),
            "cost_usd": "0.000000001",
        },
        source="elsewhere",
    )
    backend.send([sent])
    got = read()[sent.event_id]
    assert (got.event_name, got.external_customer_id) == (
        sent.event_name,
        sent.external_customer_id,
    )
    assert (got.timestamp, got.source) == (sent.timestamp, sent.source)
    assert dict(got.properties) == dict(sent.properties)


def test_what_was_accepted_before_stays_when_a_later_batch_comes(stored: Stored) -> None:
    backend, read = stored
    batches: Sequence[list[Event]] = [[event(f"evt_{b}_{n}") for n in range(50)] for b in range(4)]
    for batch in batches:
        backend.send(batch)
    assert len(read()) == 200
