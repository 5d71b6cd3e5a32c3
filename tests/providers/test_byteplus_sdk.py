"""Ark through BytePlus's own SDK, which keeps numbers that come as strings; and its cassettes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from byteplussdkarkruntime import Ark, AsyncArk

from tests.capture.play import Answer, Player
from tests.providers.media import Json
from tokenmeter import TokenMeter

MODEL = "seedance-1-5-pro-251215"
ASKED: Any = {"model": MODEL, "content": [{"type": "text", "text": "a fox"}], "duration": 5}
RUNNING: Json = {"id": "cgt-1", "model": MODEL, "status": "running"}
DONE: Json = {**RUNNING, "status": "succeeded", "usage": {"completion_tokens": "108900"}}
CASSETTES = Path(__file__).parents[2] / "cassettes" / "media"


def player() -> Player:
    bodies: list[Json] = [{"id": "cgt-1"}, RUNNING, DONE, DONE, {"items": [DONE], "total": 1}]
    kind = {"content-type": "application/json"}
    return Player([Answer(200, kind, [json.dumps(body).encode()]) for body in bodies])


def check(meter: TokenMeter) -> None:
    assert meter.flush(30)
    (event,) = meter.backend.events
    assert (event.external_customer_id, event.usage.video_tokens) == ("acme", 108900)
    assert (event.properties["provider"], event.usage.video_seconds) == ("byteplus", 5)
    assert meter.faults == 0


def test_trap_01_the_sdk_keeps_a_str_and_the_event_has_a_number(meter: TokenMeter) -> None:
    client = Ark(api_key="none", http_client=player().client(httpx))
    tasks = client.content_generation.tasks
    with meter.attribute(customer="acme"):
        task = tasks.create(**ASKED)
    polls: list[Any] = [tasks.get(task_id=task.id) for _ in range(3)]
    assert polls[-1].usage.completion_tokens == "108900"
    assert tasks.list(status="succeeded").total == 1
    check(meter)


async def test_the_async_client_is_metered_like_the_other(meter: TokenMeter) -> None:
    client = AsyncArk(api_key="none", http_client=player().async_client(httpx))
    tasks = client.content_generation.tasks
    with meter.attribute(customer="acme"):
        task: Any = await tasks.create(**ASKED)
    for _ in range(3):
        await tasks.get(task_id=task.id)
    check(meter)


@pytest.mark.parametrize("name", ["kling", "muapi", "seedance", "seedream"])
def test_a_cassette_is_what_its_script_writes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.path", list(sys.path))
    spec = importlib.util.spec_from_file_location("media_tasks", CASSETTES / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    kept = (CASSETTES / f"{name}.yaml").read_text(encoding="utf-8")
    assert tasks.write.written(tasks.CASSETTES[name]) == kept, "run cassettes/media/tasks.py"
    assert not any(word in kept for word in ("Bearer", "api-key", "sk-", "org-"))
