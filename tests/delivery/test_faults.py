"""Disk, clock, fork, backend: whatever fails, the user's call does not, and doctor says what."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.delivery.provider import Provider, providing
from tests.delivery.records import run_python
from tokenmeter.cli import app
from tokenmeter.engine.local import Engine
from tokenmeter.event import Event

SETUP = """
    import json, subprocess, threading, warnings
    import httpx2
    from tokenmeter import TokenMeter

    warnings.simplefilter("ignore", DeprecationWarning)
    url, state, database = sys.argv[1:4]
    client = httpx2.Client(verify=False)

    def call(meter, name, stream=False):
        body = {"model": "gpt-4o-mini", "user": name, "stream": stream,
                "messages": [{"role": "user", "content": "x"}]}
        with meter.attribute(customer=name):
            answer = client.post(url, json=body)
        assert answer.status_code == 200 and name in answer.text
        return answer

    def metered():
        meter = TokenMeter(f"sqlite:///{database}", state_dir=state)
        meter.instrument()
        return meter

    def healthy(meter):
        deadline = time.monotonic() + 20
        while not meter.flush(1.0):
            assert time.monotonic() < deadline, meter.health()
        return meter.health()
"""
DISK_BYTES = 384 * 1024
PATIENCE_S = 90.0


@pytest.fixture
def provider() -> Generator[Provider]:
    with providing() as running:
        yield running


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of its own, which can be filled and turned read-only also for root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def customers(database: Path) -> list[str]:
    """Whose calls arrived, each as often as it did."""
    with Engine(f"sqlite:///{database}") as engine:
        found: list[Event] = list(engine.events(limit=1_000).events)
    return sorted(event.external_customer_id for event in found)


def doctor(monkeypatch: pytest.MonkeyPatch, state: Path, database: Path) -> str:
    monkeypatch.setenv("TOKENMETER_HOME", str(state))
    url = f"sqlite:///{database}"
    result = CliRunner().invoke(app, ["doctor", "--json", "--backend", url])
    found: dict[str, Any] = json.loads(result.stdout)
    return "\n".join(found["problems"])


def test_a_full_disk_harms_no_call_and_loses_nothing(
    provider: Provider, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        meter = metered()
        call(meter, "before")
        filler = Path(state) / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 512):
                    pass
            except OSError:
                print("full", flush=True)
        for n in range(30):
            call(meter, f"full_{n}", stream=n % 2 == 1)
        assert meter.health()["last_error"], meter.health()
        sys.stdin.readline()
        filler.unlink()
        call(meter, "after")
        health = healthy(meter)
        assert (health["dropped"], health["faults"]) == (0, 0), health
        assert meter.shutdown()
    """
    database = tmp_path / "usage.db"
    process = run_python(script, provider.url, small_disk, database, setup=SETUP)
    assert process.stdout is not None
    assert process.stdout.readline() == "full\n"
    said = doctor(monkeypatch, small_disk, database)
    assert "No space left" in said or "bytes left" in said
    process.communicate("go\n", timeout=PATIENCE_S)
    assert process.returncode == 0
    expected = ["before", "after", *(f"full_{n}" for n in range(30))]
    assert customers(database) == sorted(expected)


def test_a_directory_turned_read_only_harms_no_call_and_loses_nothing(
    provider: Provider, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        def run(*command):
            subprocess.run(command, check=True)

        meter = metered()
        call(meter, "before")
        healthy(meter)
        meter.shutdown()
        meter = metered()
        meter._delivery._journal._writer._let_go()  # as at the end of a segment
        run("mount", "--bind", state, state)  # laid over it, for what opens files from now on
        run("mount", "-o", "remount,bind,ro", state)
        print("read-only", flush=True)
        for n in range(10):
            call(meter, f"ro_{n}", stream=n % 2 == 1)
        sys.stdin.readline()
        assert meter.health()["waiting_bytes"] > 0
        run("umount", "-l", state)
        call(meter, "after")
        health = healthy(meter)
        assert (health["dropped"], health["faults"]) == (0, 0), health
        assert meter.shutdown()
    """
    database = tmp_path / "usage.db"
    process = run_python(script, provider.url, small_disk, database, setup=SETUP)
    assert process.stdout is not None
    assert process.stdout.readline() == "read-only\n"
    assert "cannot be written" in doctor(monkeypatch, small_disk, database)
    process.communicate("go\n", timeout=PATIENCE_S)
    assert process.returncode == 0
    assert customers(database) == sorted(["before", "after", *(f"ro_{n}" for n in range(10))])


def test_a_corrupted_segment_costs_what_it_held_and_nothing_else(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        meter = metered()
        meter._delivery._running = True  # nothing is delivered before the end
        for n in range(10):
            call(meter, f"call_{n}")
        os.kill(os.getpid(), 9)
    """
    state, database = tmp_path / "state", tmp_path / "usage.db"
    run_python(script, provider.url, state, database, setup=SETUP).communicate(timeout=PATIENCE_S)
    (segment,) = state.glob("journal/*/*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    assert len(lines) == 10
    damaged = lines[4][:20] + b"\xff\x00" * 10 + lines[4][40:]
    segment.write_bytes(b"".join([*lines[:4], damaged, *lines[5:]]) + b'{"torn')
    assert "damaged" in doctor(monkeypatch, state, database)
    script = """
        meter = metered()
        call(meter, "after")
        health = healthy(meter)
        assert health["torn"] >= 1, health
        assert meter.shutdown()
    """
    finish(run_python(script, provider.url, state, database, setup=SETUP))
    expected = ["after", *(f"call_{n}" for n in range(10) if n != 4)]
    assert customers(database) == sorted(expected)
    assert list((state / "journal").iterdir()) == []


def test_a_clock_that_jumps_back_holds_nothing_up(provider: Provider, tmp_path: Path) -> None:
    script = """
        meter = metered()
        call(meter, "before")
        real = time.time, time.time_ns
        time.time = lambda: real[0]() - 86_400 * 30
        time.time_ns = lambda: real[1]() - 86_400 * 30 * 10**9
        call(meter, "in the past")
        assert healthy(meter)["records"] == 0
        other = TokenMeter(f"sqlite:///{database}", state_dir=state)  # its log is the older one
        call(meter, "still in the past")
        assert meter.shutdown() and other.shutdown()
        time.time, time.time_ns = real
        meter = metered()
        call(meter, "after")
        assert healthy(meter)["faults"] == 0
        assert meter.shutdown()
    """
    state, database = tmp_path / "state", tmp_path / "usage.db"
    finish(run_python(script, provider.url, state, database, setup=SETUP))
    assert customers(database) == ["after", "before", "in the past", "still in the past"]
    assert list((state / "journal").iterdir()) == []


def test_a_fork_with_a_stream_open_reports_it_once(provider: Provider, tmp_path: Path) -> None:
    script = """
        meter = metered()
        body = {"model": "gpt-4o-mini", "user": "parent", "stream": True,
                "messages": [{"role": "user", "content": "x"}]}
        with meter.attribute(customer="parent"), client.stream("POST", url, json=body) as stream:
            parts = stream.iter_raw()
            first = next(parts)  # perhaps all of it
            child = os.fork()
            if not child:
                client = httpx2.Client(verify=False)
                call(meter, "child")
                assert meter.flush(20.0)
                os._exit(0)
            rest = b"".join(parts)
        assert b"[DONE]" in first + rest
        assert os.waitpid(child, 0)[1] == 0
        call(meter, "parent too")
        healthy(meter)
        assert meter.shutdown()
    """
    state, database = tmp_path / "state", tmp_path / "usage.db"
    finish(run_python(script, provider.url, state, database, setup=SETUP))
    assert customers(database) == ["child", "parent", "parent too"]


def test_a_backend_of_the_users_that_raises_harms_no_call(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        class Theirs:
            name = "theirs"
            def send(self, events):
                raise RuntimeError("a bug at https://user:secret@host")
            def close(self):
                raise RuntimeError("again")

        meter = TokenMeter([Theirs(), f"sqlite:///{database}"], state_dir=state)
        meter.instrument()
        for n in range(5):
            call(meter, f"call_{n}")
        assert not meter.flush(1.0)
        deadline = time.monotonic() + 20
        while not (health := meter.health())["backends"]["theirs"]["last_error"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "a bug" in health["backends"]["theirs"]["last_error"]
        assert "secret" not in str(health)
        assert health["records"] == 5 and health["dead_letters"] == 0, health
        assert not meter.shutdown(0.5)
    """
    state, database = tmp_path / "state", tmp_path / "usage.db"
    finish(run_python(script, provider.url, state, database, setup=SETUP))
    assert customers(database) == [f"call_{n}" for n in range(5)]
    assert "5 records for theirs wait" in doctor(monkeypatch, state, database)
