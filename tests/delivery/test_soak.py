"""
2,000 events a second, for long: memory and open files stay flat, the journal drains.

TOKENMETER_SOAK_S says how long; CI takes 15 s, the soak itself 600: ``TOKENMETER_SOAK_S=600
pytest -n0 -m soak tests/delivery/test_soak.py -s``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.cloud import KEY
from tests.delivery.records import ROOT, run_python

SECONDS = float(os.environ.get("TOKENMETER_SOAK_S", "15"))
RATE = 2_000  # events a second
GROWTH_BYTES_MAX = 8 * 1024 * 1024  # of the second half over the first
FILES_SPREAD_MAX = 4
RATE_SHARE_MIN = 0.8  # of the rate must be reached: the machine may be busy
JOURNAL_BYTES_MAX = 64 * 1024 * 1024

METERED = """
    import json
    from tokenmeter import TokenMeter

    url, path, seconds, rate = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    meter = TokenMeter(url, state_dir=path)
    page = os.sysconf("SC_PAGE_SIZE")
    samples, sent = [], 0
    began = time.monotonic()
    look_at = 0.0
    while (passed := time.monotonic() - began) < seconds:
        while sent < passed * rate:
            meter.record("text_generated", {"input_tokens": 12, "output_tokens": 3},
                         customer=f"cust_{sent % 50}", provider="openai", model="gpt-4o-mini")
            sent += 1
        if passed >= look_at:
            look_at += max(1.0, seconds / 100)
            journal = sum(p.stat().st_size for p in path.glob("journal/*/*.jsonl"))
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            samples.append((passed, resident, len(os.listdir("/proc/self/fd")), journal))
        time.sleep(0.005)
    drained = meter.flush(60.0)
    health = meter.health()
    assert meter.shutdown(10.0)
    print(json.dumps({"samples": samples, "sent": sent, "drained": drained,
                      "records": health["records"], "dropped": health["dropped"],
                      "faults": health["faults"], "left": len(list(path.glob("journal/*")))}))
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def soaked(path: Path, seconds: float) -> dict[str, Any]:
    port, log = free_port(), path / "taken"
    command = [sys.executable, "-m", "tests.delivery.cloud", str(port), str(log), "strict"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as server:
        try:
            url = f"flexprice+http://127.0.0.1:{port}/v1"
            process = run_python(METERED, url, path / "state", seconds, RATE)
            out, _ = process.communicate(timeout=seconds + 120)
            assert process.returncode == 0
        finally:
            server.kill()
    found: dict[str, Any] = json.loads(out)
    found["taken"] = log.read_bytes().count(b"\n")
    return found


@pytest.mark.soak
def test_memory_and_files_stay_flat_and_the_journal_drains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", KEY)
    found = soaked(tmp_path, SECONDS)
    settled = [each for each in found["samples"] if each[0] > SECONDS / 5]
    half = len(settled) // 2
    before = max(resident for _, resident, _, _ in settled[:half])
    after = max(resident for _, resident, _, _ in settled[half:])
    files = [files for _, _, files, _ in settled]
    longest = max(length for _, _, _, length in settled)
    print(
        f"\n{found['sent']:,} events in {SECONDS:g} s; resident {before / 1e6:.1f} MB, then "
        f"{after / 1e6:.1f} MB; files {min(files)} to {max(files)}; journal at most "
        f"{longest / 1e6:.1f} MB; drained: {found['drained']}"
    )
    assert found["sent"] >= RATE * SECONDS * RATE_SHARE_MIN
    assert after - before <= GROWTH_BYTES_MAX
    assert max(files) - min(files) <= FILES_SPREAD_MAX
    assert longest <= JOURNAL_BYTES_MAX
    assert found["drained"]
    assert (found["records"], found["dropped"], found["faults"], found["left"]) == (0, 0, 0, 0)
    assert found["taken"] == found["sent"]
