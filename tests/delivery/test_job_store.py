"""The store of submitted jobs, by itself; tests/capture/test_jobs.py has jobs end to end."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from tokenmeter.delivery import jobs
from tokenmeter.delivery.jobs import GUESSED, NAME, NOT_SUBMITTED, RENAMED, JobStore, joined

Json = dict[str, Any]


def submitted(**fields: Any) -> Json:
    properties = {"operation": "image_to_video", "model": "gen4", "request_count": 1}
    return {
        "event_name": "job_opened",
        "external_customer_id": "acme",
        "properties": properties,
        NAME: "image_generated",
        **fields,
    }


def ended(outcome: str = "failed", **fields: Any) -> Json:
    properties = {"operation": "tasks", "outcome": outcome, "request_count": 1}
    return {
        "event_name": "video_generated",
        "external_customer_id": "unattributed",
        "properties": properties,
        GUESSED: ["operation", NAME, "model", "model_type"],
        **fields,
    }


def test_a_closed_store_is_let_go_of(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.db")
    known = weakref.ref(store)
    store.close()
    del store
    gc.collect()
    assert known() is None


def test_a_store_that_is_dropped_closes_its_file(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.db")
    db = store._db
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")


def test_a_store_that_nobody_closes_is_closed_with_the_process(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from tokenmeter.delivery.jobs import JobStore
store = JobStore(Path({str(tmp_path / "jobs.db")!r}))
store.opened("openai", "video_1", {{}})
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert not (tmp_path / "jobs.db-wal").exists()  # SQLite takes it away when a file is closed


def test_what_the_address_of_a_poll_only_supposes_gives_way_to_the_submit() -> None:
    event = joined(submitted(), ended())
    assert event["event_name"] == "image_generated"
    assert event["properties"]["operation"] == "image_to_video"
    assert event["properties"]["model"] == "gen4"


def test_an_end_that_says_what_was_made_is_believed() -> None:
    told = ended("success", **{GUESSED: ["operation"]})
    assert joined(submitted(), told)["event_name"] == "video_generated"


def test_a_name_that_the_user_gave_the_submit_stands() -> None:
    told = ended("success", **{GUESSED: ["operation"]})
    named = submitted(**{NAME: "poster", RENAMED: True})
    assert joined(named, told)["event_name"] == "poster"


def test_a_submit_of_an_earlier_release_has_no_name() -> None:
    before = submitted()
    del before[NAME]
    assert joined(before, ended())["event_name"] == "video_generated"


def test_one_direction_of_an_end_keeps_its_name() -> None:
    half = ended("success", event_name="tokens_total")
    assert joined(submitted(), half)["event_name"] == "tokens_total"


def test_an_end_without_a_submit_is_flagged() -> None:
    alone = ended()
    alone["properties"]["flags"] = "counted"
    assert joined(None, alone)["properties"]["flags"] == f"counted,{NOT_SUBMITTED}"


def test_settled_jobs_are_kept_for_a_while_and_pending_ones_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_800_000_000.0]
    monkeypatch.setattr("tokenmeter.delivery.jobs.time.time", lambda: now[0])
    path = tmp_path / "jobs.db"
    store = JobStore(path)
    for job_id in ("old", "new", "going"):
        store.opened("kling", job_id, submitted())
    store.settled("kling", "old", ended())
    now[0] += jobs.SETTLED_KEPT_S
    store.settled("kling", "new", ended())
    store.close()
    now[0] += 2  # the old one is one second past its time now
    store = JobStore(path)
    store.settled("kling", "new", ended())
    assert store.found("kling", "old") is None
    assert store.found("kling", "new") is not None
    assert [job["job_id"] for job in store.pending()] == ["going"]
    store.close()


def test_a_second_sight_does_not_make_a_job_younger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_800_000_000.0]
    monkeypatch.setattr("tokenmeter.delivery.jobs.time.time", lambda: now[0])
    store = JobStore(tmp_path / "jobs.db")
    store.opened("kling", "k1", submitted())
    for _ in range(3):
        store.settled("kling", "k1", ended())
        now[0] += 100
    store.close()
    with sqlite3.connect(tmp_path / "jobs.db") as db:
        assert db.execute("SELECT settled FROM job").fetchall() == [(1_800_000_000,)]
    db.close()
