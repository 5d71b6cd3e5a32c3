"""Calls under way are remembered on disk, so that a killed process leaves word of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tokenmeter.capture.underway import LINE_BYTES_MAX
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.opencalls import NO_SLOT, SLOT_BYTES, SLOTS_MAX, OpenCalls, left_open
from tokenmeter.event import Event, attempt_id

CALL = {
    "event_name": "text_generated",
    "customer": "cust_1",
    "opened_at": 1795255200.123,
    "properties": {"provider": "openai", "call_id": "call_1", "attempt": 2},
}
LINE = json.dumps(CALL).encode()


def test_a_call_that_is_left_is_not_found_and_one_under_way_is_an_unknown_event(
    tmp_path: Path,
) -> None:
    calls = OpenCalls(tmp_path)
    calls.leave(calls.enter(LINE.replace(b"call_1", b"call_0")))
    assert calls.enter(LINE) != NO_SLOT
    (record,) = left_open(tmp_path)
    event = Event.from_dict(record)
    assert event.event_id == attempt_id("call_1", 2)
    assert event.external_customer_id == "cust_1"
    assert record["timestamp"] == "2026-11-21T10:00:00.123Z"
    assert event.properties == {
        "provider": "openai",
        "call_id": "call_1",
        "attempt": 2,
        "request_count": 1,
        "outcome": "unknown",
        "billable": "false",
        "usage_source": "missing",
    }


def test_as_many_calls_as_there_are_slots_are_remembered_and_more_are_not(tmp_path: Path) -> None:
    calls = OpenCalls(tmp_path)
    entered = [calls.enter(LINE) for _ in range(SLOTS_MAX)]
    assert len(set(entered)) == SLOTS_MAX
    assert calls.enter(LINE) == NO_SLOT
    for slot in entered:
        calls.leave(slot)
    assert left_open(tmp_path) == []
    assert calls.enter(LINE) != NO_SLOT


def test_a_line_that_fills_its_slot_is_kept_and_a_longer_one_is_not(tmp_path: Path) -> None:
    calls = OpenCalls(tmp_path)
    filled = {**CALL, "customer": "c" * (SLOT_BYTES - 1 - len(LINE) + len("cust_1"))}
    line = json.dumps(filled).encode()
    assert len(line) == SLOT_BYTES - 1
    assert calls.enter(line + b" ") == NO_SLOT
    assert calls.enter(line) != NO_SLOT
    assert left_open(tmp_path)[0]["external_customer_id"] == filled["customer"]


def test_a_slot_that_was_half_written_is_passed_over(tmp_path: Path) -> None:
    calls = OpenCalls(tmp_path)
    calls.enter(LINE[:40])
    calls.enter(b'{"event_name":"x"}')
    calls.enter(LINE)
    assert len(left_open(tmp_path)) == 1


def test_a_directory_without_the_file_has_no_calls(tmp_path: Path) -> None:
    assert left_open(tmp_path) == []


def test_where_the_file_cannot_be_made_calls_go_on_unremembered(tmp_path: Path) -> None:
    calls = OpenCalls(tmp_path / "missing")
    assert calls.enter(LINE) == NO_SLOT
    assert isinstance(calls.trouble, FileNotFoundError)
    calls.leave(NO_SLOT)


def test_a_forked_child_does_not_free_its_parents_slots(tmp_path: Path) -> None:
    calls = OpenCalls(tmp_path)
    entered = calls.enter(LINE)
    other = OpenCalls(tmp_path / "child")
    other._pid = os.getpid() + 1  # pyright: ignore[reportPrivateUsage]
    (tmp_path / "child").mkdir()
    own = other.enter(LINE)
    other.leave(entered)
    assert len(left_open(tmp_path / "child")) == len(left_open(tmp_path)) == 1
    other.leave(own)
    assert left_open(tmp_path / "child") == []


KILLED = """
import os, sys
import httpx2
import tokenmeter

class Dies(httpx2.BaseTransport):
    def handle_request(self, request):
        os.kill(os.getpid(), 9)

meter = tokenmeter.TokenMeter("sqlite:///" + sys.argv[1] + "/u.db", state_dir=sys.argv[1])
meter.instrument()
customer, tag = sys.argv[2:]
with meter.attribute(customer=customer, feature="chat", tags={"team": tag}), meter.run("req-1"):
    client = httpx2.Client(transport=Dies())
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a secret prompt"}]}
    client.post("https://api.openai.com/v1/chat/completions", json=asked)
"""


def killed(path: Path, customer: str, tag: str) -> tuple[Path, dict[str, Any]]:
    """The log of a process that was killed in its only call, and the record of that call."""
    command = [sys.executable, "-c", KILLED, str(path), customer, tag]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    (log,) = (path / "journal").iterdir()
    (record,) = left_open(log)
    return log, record


@pytest.mark.parametrize(
    ("customer", "tag", "kept"),
    [
        ("cust_7", "long " * 100, {"feature": "chat", "run_id": "req-1"}),
        ("c" * 300, "blue", {}),
        ("\u5ba2" * 50, "blue", {}),
    ],
    ids=["a long tag", "a long name", "a name of other letters"],
)
def test_a_call_with_more_to_say_than_there_is_room_for_keeps_who_pays_for_it(
    tmp_path: Path, customer: str, tag: str, kept: dict[str, str]
) -> None:
    _, record = killed(tmp_path, customer, tag)
    assert record["external_customer_id"] == customer
    facts = record["properties"]
    assert (facts["provider"], facts["outcome"]) == ("openai", "unknown")
    assert {name: facts[name] for name in ("feature", "run_id") if name in facts} == kept
    assert "tag_team" not in facts


def test_what_capture_writes_of_a_call_fits_where_delivery_keeps_it() -> None:
    assert LINE_BYTES_MAX == SLOT_BYTES - 1


def test_a_process_killed_in_mid_call_leaves_who_asked_whom_and_no_prompt(tmp_path: Path) -> None:
    log, record = killed(tmp_path, "cust_7", "blue")
    assert record["external_customer_id"] == "cust_7"
    facts = record["properties"]
    assert (facts["provider"], facts["request_model"]) == ("openai", "gpt-4o")
    assert (facts["feature"], facts["run_id"], facts["tag_team"]) == ("chat", "req-1", "blue")
    assert (facts["outcome"], facts["billable"]) == ("unknown", "false")
    assert b"secret" not in (log / "open").read_bytes()


def test_threads_that_make_their_first_calls_at_once_share_one_file(tmp_path: Path) -> None:
    for life in range(50):
        journal = Journal(tmp_path / str(life), ["sink"])
        start = threading.Barrier(4)

        def work(journal: Journal = journal, start: threading.Barrier = start) -> None:
            start.wait()
            journal.enter(LINE)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (log,) = (tmp_path / str(life) / "journal").iterdir()
        assert len(left_open(log)) == 4


def test_a_forked_childs_first_call_is_remembered(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ["sink"])
    journal.forked()
    assert journal.enter(LINE) != NO_SLOT
    found = [left_open(log) for log in (tmp_path / "journal").iterdir()]
    assert sorted(map(len, found)) == [0, 1]
    journal.close()
