"""Jobs over real processes: submitted in one that is killed, polled in others, settled once."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import fresh
from tests.providers.media import FLUSH_S
from tokenmeter import Event, TokenMeter, webhooks
from tokenmeter.delivery.jobs import NOT_SUBMITTED
from tokenmeter.engine.local import Engine

Json = dict[str, Any]
TIMEOUT_S = 60
TASKS = "/api/v3/contents/generations/tasks"
ASKED: Json = {
    "model": "seedance-1-5-pro-251215",
    "content": [{"type": "text", "text": "a fox"}],
    "resolution": "720p",
    "duration": 5,
    "generate_audio": False,
}
DONE: Json = {
    "id": "cgt-1",
    "model": ASKED["model"],
    "status": "succeeded",
    "content": {"video_url": "https://x/1.mp4"},
    "usage": {"completion_tokens": 108900, "total_tokens": 108900},
    "duration": 5,
    "resolution": "720p",
    "framespersecond": 24,
}


class Ark(ThreadingHTTPServer):
    """A loopback Ark with one task; `end` is what its polls are told."""

    daemon_threads = True
    end: Json = DONE


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer({"id": "cgt-1"})

    def do_GET(self) -> None:
        assert isinstance(self.server, Ark)
        self._answer(self.server.end)

    def _answer(self, body: Json) -> None:
        told = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""


@pytest.fixture
def ark() -> Iterator[Ark]:
    server = Ark(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(TIMEOUT_S)


PROLOGUE = """
import json, os, signal, sys
import httpx2
from tokenmeter import TokenMeter
home, port, told = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
meter = TokenMeter(f"sqlite:///{home}/usage.db", state_dir=home,
                   hosts={f"127.0.0.1:{port}": "byteplus"})
client = meter.wrap(httpx2.Client(base_url=f"http://127.0.0.1:{port}"))
"""
# Killed at once: nothing of the submit has left the journal of this process.
SUBMIT = """
with meter.attribute(customer="acme", feature="clips", tags={"team": "a"}):
    client.post("/api/v3/contents/generations/tasks", json=told).raise_for_status()
os.kill(os.getpid(), signal.SIGKILL)
"""
POLL = """
with meter.attribute(customer="worker"):
    for _ in range(5):
        client.get("/api/v3/contents/generations/tasks/cgt-1").raise_for_status()
assert meter.flush(30)
meter.shutdown()
"""
WEBHOOK = """
event = meter.settle_job("byteplus", told)
assert meter.flush(30)
meter.shutdown()
print(event.external_customer_id)
"""


def run(script: str, home: Path, ark: Ark, told: Json) -> subprocess.CompletedProcess[str]:
    port = str(ark.server_address[1])
    said = home / "said.txt"
    return fresh.ran(
        PROLOGUE + script, str(home), port, json.dumps(told), said=said, timeout_s=TIMEOUT_S
    )


def submit(home: Path, ark: Ark) -> None:
    killed = run(SUBMIT, home, ark, ASKED)
    assert killed.returncode == -signal.SIGKILL, killed.stdout


def ran(script: str, home: Path, ark: Ark, told: Json) -> str:
    done = run(script, home, ark, told)
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def events(home: Path) -> list[Event]:
    engine = Engine(f"sqlite:///{home / 'usage.db'}")
    try:
        assert engine.conflicts() == []
        return list(engine.events().events)
    finally:
        engine.close()


def test_a_job_of_a_killed_process_is_one_event_of_its_customer(tmp_path: Path, ark: Ark) -> None:
    submit(tmp_path, ark)
    ran(POLL, tmp_path, ark, {})
    assert ran(WEBHOOK, tmp_path, ark, DONE) == "acme"
    ran(POLL, tmp_path, ark, {})
    (event,) = events(tmp_path)
    facts = event.properties
    assert (event.external_customer_id, facts["feature"], facts["tag_team"]) == (
        "acme",
        "clips",
        "a",
    )
    assert (event.usage.video_tokens, event.usage.video_seconds) == (108900, 5)
    assert (facts["generate_audio"], facts["resolution"]) == ("false", "720p")
    assert (facts["model"], facts["outcome"]) == (ASKED["model"], "success")
    assert (facts["cost_usd"], facts["billable"]) == ("0.13068", "true")


def test_a_webhook_alone_settles_the_job_of_a_killed_process(tmp_path: Path, ark: Ark) -> None:
    submit(tmp_path, ark)
    ran(WEBHOOK, tmp_path, ark, DONE)
    (event,) = events(tmp_path)
    assert (event.external_customer_id, event.properties["generate_audio"]) == ("acme", "false")


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_job_that_came_to_nothing_bills_nothing(tmp_path: Path, ark: Ark, status: str) -> None:
    submit(tmp_path, ark)
    ark.end = {"id": "cgt-1", "model": ASKED["model"], "status": status, "usage": None}
    ran(POLL, tmp_path, ark, {})
    ran(WEBHOOK, tmp_path, ark, ark.end)
    (event,) = events(tmp_path)
    facts = event.properties
    assert (event.external_customer_id, facts["outcome"]) == ("acme", "failed")
    assert (facts["billable"], event.usage.video_tokens) == ("false", None)
    assert event.usage.video_seconds is None


def a_poll(poller: TokenMeter, ark: Ark) -> None:
    """A poll whose event is delivered by the shipper's own pace; nothing is flushed."""
    url = f"http://127.0.0.1:{ark.server_address[1]}{TASKS}/cgt-1"
    with httpx2.Client() as client:
        poller.wrap(client).get(url)
    deadline = time.monotonic() + TIMEOUT_S
    while len(poller.engine.events().events) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)


def a_webhook(poller: TokenMeter, _ark: Ark) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "UNKNOWN_WAIT_S", FLUSH_S)  # whose it was is found in time
        told = poller.settle_job("byteplus", DONE)
    assert told is not None
    assert told.external_customer_id == "acme"


@pytest.mark.parametrize("end", [a_poll, a_webhook])
def test_a_submit_whose_process_dies_while_another_runs_is_found(
    tmp_path: Path, ark: Ark, end: Callable[[TokenMeter, Ark], None]
) -> None:
    """The other process has looked for journals that nobody owns, and will not look soon."""
    poller = TokenMeter(
        f"sqlite:///{tmp_path / 'usage.db'}",
        state_dir=tmp_path,
        hosts={f"127.0.0.1:{ark.server_address[1]}": "byteplus"},
    )
    try:
        poller.record("api_calls", customer="warm-up")
        assert poller.flush(FLUSH_S)
        submit(tmp_path, ark)
        end(poller, ark)
        assert poller.flush(FLUSH_S)
    finally:
        poller.shutdown()
    event = next(e for e in events(tmp_path) if e.event_name == "video_generated")
    assert event.external_customer_id == "acme"
    assert NOT_SUBMITTED not in str(event.properties.get("flags", ""))


def test_pending_jobs_survive_restarts(tmp_path: Path, ark: Ark) -> None:
    submit(tmp_path, ark)
    for _ in range(2):
        meter = TokenMeter(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path)
        assert meter.flush(FLUSH_S)
        (job,) = meter.jobs.pending()
        assert (job["provider"], job["job_id"]) == ("byteplus", "cgt-1")
        assert job["submitted"]["external_customer_id"] == "acme"
        meter.shutdown()
