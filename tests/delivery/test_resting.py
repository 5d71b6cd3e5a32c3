"""A shipper without work glances at the journal, and sees at once what comes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.delivery.records import PATIENCE_S, delivering, record
from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.delivery.resting import LINGER_S, LOOK_S
from tokenmeter.delivery.shipper import Shipper

LOOK = "tokenmeter.delivery.resting.LOOK_S"
NEVER_S = 3600.0  # so that only a glance can have seen it


class Named(MemoryBackend):
    """One of several."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(LINGER_S / 10)
    return True


def have(backends: list[Named], number: int) -> bool:
    return all(len(each.events) == number for each in backends)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each shipper looked at all there is."""
    counted = Counter[str]()
    step = Shipper.step

    def counting(shipper: Shipper) -> bool:
        counted[shipper.name] += 1
        return step(shipper)

    monkeypatch.setattr(Shipper, "step", counting)
    return counted


def test_a_shipper_without_work_does_nothing_but_glance(
    tmp_path: Path, steps: Counter[str]
) -> None:
    with delivering(MemoryBackend(), tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
        time.sleep(2 * LINGER_S)  # what the flush has left to be looked at
        before, began = steps.total(), time.monotonic()
        time.sleep(LOOK_S)
        looks = (time.monotonic() - began) / LOOK_S
        assert steps.total() - before <= looks + 1  # and not every LINGER_S


def test_what_comes_is_delivered_without_being_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK, NEVER_S)
    backends = [Named("one"), Named("two")]
    with delivering(backends, tmp_path) as delivery:
        delivery.append(record("evt_0"))
        assert delivery.flush(PATIENCE_S)
        for number in range(1, 6):  # one shipper's look must not hide it from the other
            delivery.append(record(f"evt_{number}"))
            assert eventually(partial(have, backends, number + 1))
            time.sleep(LINGER_S * number / 4)


def test_what_is_deferred_runs_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOOK, NEVER_S)
    ran: list[float] = []
    with delivering(MemoryBackend(), tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
        time.sleep(2 * LINGER_S)
        delivery.defer(lambda: ran.append(time.monotonic()))
        assert eventually(lambda: bool(ran))


def test_more_than_a_proof_holds_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look by the writer itself, at its file, hides nothing that came before."""
    monkeypatch.setattr(LOOK, NEVER_S)
    monkeypatch.setattr("tokenmeter.delivery.writer.UNPROVEN_BYTES_MAX", 1)  # at each record
    backend = MemoryBackend()
    with delivering(backend, tmp_path) as delivery:
        delivery.append(record("evt_0"))
        assert delivery.flush(PATIENCE_S)
        time.sleep(2 * LINGER_S)
        delivery.append(record("evt_1"))
        assert eventually(lambda: len(backend.events) == 2)
