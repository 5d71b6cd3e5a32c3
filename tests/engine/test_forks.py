"""The order of a fork, step by step; test_processes.py forks for real."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sqlalchemy import create_engine

from tokenmeter.engine.store import forks
from tokenmeter.engine.store.forks import ForkGate

if TYPE_CHECKING:
    import pytest


def test_a_fork_waits_for_those_inside_and_keeps_others_out() -> None:
    gate = ForkGate(create_engine("sqlite://"))
    steps: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with gate.use():
            entered.set()
            leave.wait(5)
            steps.append("first leaves")

    def late() -> None:
        with gate.use():
            steps.append("late enters")

    inside = threading.Thread(target=first)
    inside.start()
    assert entered.wait(5)
    threading.Timer(0.05, leave.set).start()
    gate.shut()
    steps.append("fork")
    outside = threading.Thread(target=late)
    outside.start()
    outside.join(0.05)
    gate.reopen()
    for thread in (inside, outside):
        thread.join(5)
    assert steps == ["first leaves", "fork", "late enters"]


def test_a_use_that_does_not_end_is_abandoned_unclosed_in_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forks, "FORK_WAIT_S_MAX", 0.01)
    monkeypatch.setattr(forks, "_abandoned", [])
    engine = create_engine("sqlite://")
    gate = ForkGate(engine)
    pool = engine.pool
    with gate.use():
        gate.shut()
        assert engine.pool is pool  # still in use
        gate.renew()
        assert engine.pool is not pool
        assert forks._abandoned == [pool]
    with gate.use():
        pass
