"""
`kill -9` of a metered process at random moments: what the user had is there, once.

A nursery process forks a metered process, kills it a moment later, and begins again, each on
the state directory of all before: who adopts what is left may be killed in the midst of it.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.delivery.provider import providing
from tests.delivery.records import run_python
from tokenmeter import TokenMeter
from tokenmeter.event import Event

MOMENTS = int(os.environ.get("TOKENMETER_KILLS", "20"))
MOMENTS_SOAK = 200
PATIENCE_S = 240.0
IN_PROCESS = 3  # threads that make calls

NURSERY = """
    import random, signal, threading, warnings
    import httpx2, select
    from tokenmeter import TokenMeter

    warnings.simplefilter("ignore", DeprecationWarning)
    url, path, moments, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dice = random.Random(9)

    def calls(meter, client, life, worker):
        for n in range(1_000_000):
            name = f"{life}_{worker}_{n}"
            body = {"model": "gpt-4o-mini", "user": name, "stream": n % 2 == 1,
                    "messages": [{"role": "user", "content": "x"}]}
            if n % 2:
                body["stream_options"] = {"include_usage": True}
            with meter.attribute(customer=name):
                client.post(url, json=body).raise_for_status()
            os.write(1, (name + "\\n").encode())
            os.write(ready, b".")

    def live(life):
        meter = TokenMeter(f"sqlite:///{path}/usage.db", state_dir=path)
        meter.instrument()
        client = httpx2.Client(verify=False)
        for worker in range(workers):
            threading.Thread(target=calls, args=(meter, client, life, worker)).start()

    warm = TokenMeter(f"sqlite:///{path}/warm.db", state_dir=path + "/warm")
    warm.instrument()  # so that children need not import what this imports
    warm.record("text_generated", {"input_tokens": 1}, provider="openai", model="gpt-4o-mini")
    assert warm.shutdown(60.0)

    for life in range(moments):
        began, ready = os.pipe()
        child = os.fork()
        if not child:
            live(life)
            threading.Event().wait()
        if life % 4:  # else it is killed while it starts
            select.select([began], [], [], 20)
        time.sleep(dice.uniform(0, 0.08))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        os.close(began)
        os.close(ready)
"""


def everything(path: Path) -> list[Event]:
    """All events, after a last process has delivered what the killed ones left."""
    meter = TokenMeter(f"sqlite:///{path}/usage.db", state_dir=path)
    assert meter.flush(60.0), meter.health()
    found: list[Event] = []
    cursor: str | None = None
    while True:
        page = meter.engine.events(limit=1_000, cursor=cursor)
        found += page.events
        cursor = page.cursor
        if cursor is None:
            break
    assert meter.health()["dead_letters"] == 0
    assert meter.shutdown()
    return found


def survive(path: Path, moments: int) -> Counter[str]:
    with providing() as provider:
        process = run_python(NURSERY, provider.url, path, moments, IN_PROCESS)
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        asked = set(provider.asked)
    received = {each for each in said.splitlines() if each}
    events = everything(path)
    outcomes = {event.external_customer_id: event.properties["outcome"] for event in events}
    assert len(outcomes) == len(events), "an event is doubled"
    lost = received - outcomes.keys()
    assert not lost, f"lost: {sorted(lost)}"
    assert {outcomes[each] for each in received} == {"success"}
    assert not asked - outcomes.keys(), "a call under way left no word"
    unknown = {who for who, outcome in outcomes.items() if outcome == "unknown"}
    for event in events:
        if event.external_customer_id in unknown:
            assert event.properties["billable"] == "false"
            assert event.properties["usage_source"] == "missing"
            assert event.properties["request_model"] == "gpt-4o-mini"
    assert everything(path) == events, "a later process finds more"
    left = [each.name for each in (path / "journal").iterdir()]
    assert [name for name in left if not name.startswith(".")] == []  # killed before its first
    return Counter(str(outcome) for outcome in outcomes.values())


def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outcomes = survive(tmp_path, MOMENTS)
    assert outcomes["success"] > MOMENTS
    assert outcomes["unknown"] > 0
    assert outcomes.keys() <= {"success", "unknown"}


@pytest.mark.soak
@pytest.mark.skipif("TOKENMETER_SOAK_S" not in os.environ, reason="TOKENMETER_SOAK_S asks for it")
def test_kill_9_at_200_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    outcomes = survive(tmp_path, MOMENTS_SOAK)
    assert outcomes["success"] > MOMENTS_SOAK
    assert outcomes["unknown"] > 0
