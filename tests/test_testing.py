"""The fixture for users' own tests, in a test run of a user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = "from tokenmeter.testing import memory_meter\n"
TESTS = """
import httpx2, pytest, tokenmeter

ANSWER = {
    "id": "c1", "object": "chat.completion", "model": "gpt-4o", "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}

def ask():
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=ANSWER))
    with tokenmeter.attribute(customer="acme"), httpx2.Client(transport=transport) as client:
        client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o"})

@pytest.mark.parametrize("time", [1, 2])
def test_a_call_is_metered(memory_meter, time):
    ask()
    memory_meter.flush()
    (event,) = memory_meter.backend.events
    assert (event.external_customer_id, event.usage.input_tokens) == ("acme", 7)

def test_what_the_program_configures_itself_goes_on(memory_meter, tmp_path):
    meter = tokenmeter.configure(backend=f"sqlite:///{tmp_path}/usage.db", state_dir=tmp_path)
    ask()
    meter.flush()
    assert meter.engine.aggregate("text_generated", "SUM", "input_tokens") == 7

def test_nothing_is_metered_without_it():
    ask()
    tokenmeter.configure(backend="memory:")
    assert tokenmeter.flush()
    assert tokenmeter.default.default_meter().backend.events == []
    tokenmeter.shutdown()
"""


def test_the_fixture_keeps_what_a_test_meters_in_memory(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_users.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", str(tmp_path)]
    command += ["-p", "no:cacheprovider", "-p", "no:asyncio"]
    # What the run around this one was told (to measure coverage, say) is not for this one.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    told = subprocess.run(
        command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "4 passed" in told.stdout
