"""What a call was charged is held or used, and never both."""

from __future__ import annotations

import json
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.upstream import answering
from tests.engine.made import made
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import unsettled
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.enforcement.unsettled import ENDS_S_MAX, Unsettled
from tokenmeter.engine.local import Engine
from tokenmeter.event import Property

if TYPE_CHECKING:
    import pytest

JSON = {"content-type": "application/json"}
ASKED = {"model": "gpt-image-1", "prompt": "a lemon tree", "size": "1024x1024", "quality": "low"}
IMAGE = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}]}).encode()
LOOKS = 12
LOOK_S = 0.1
PATIENCE_S = 30.0
OF_CALL: dict[str, Property] = {"input_tokens": 1, "call_id": "call_1"}


async def test_a_call_that_waits_to_be_settled_leaves_what_its_hold_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsettled, "SETTLES_S_MAX", PATIENCE_S)
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit=str(2 * PRICE)).close()
    meter = TokenMeter(url)
    gateway = TokenMeterMiddleware(
        answering(200, JSON, [IMAGE]), customer=lambda _: "acme", meter=meter, enforce="wallet"
    )
    looked = threading.Event()
    SETTLER.add(lambda: _wait(looked))  # it is busy with others
    answer = await ask(gateway, scope_of("POST", IMAGE_PATH, [*JSON.items()]), _body())
    assert answer.status == 200
    delivering = threading.Thread(target=meter.flush)
    delivering.start()
    assert [_available(url) for _ in range(LOOKS)] == [PRICE] * LOOKS
    looked.set()
    delivering.join()
    assert SETTLER.drain(PATIENCE_S)
    assert meter.flush(PATIENCE_S)
    meter.shutdown()
    assert _available(url) == PRICE


async def test_a_call_that_waits_to_be_settled_takes_its_quota_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsettled, "SETTLES_S_MAX", PATIENCE_S)
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit="0", included=2).close()
    meter = TokenMeter(url)
    gateway = TokenMeterMiddleware(
        answering(200, JSON, [IMAGE]), customer=lambda _: "acme", meter=meter, enforce="quota"
    )
    looked = threading.Event()
    SETTLER.add(lambda: _wait(looked))
    answer = await ask(gateway, scope_of("POST", IMAGE_PATH, [*JSON.items()]), _body())
    assert answer.status == 200
    delivering = threading.Thread(target=meter.flush)
    delivering.start()
    assert all(_has_quota(url) for _ in range(LOOKS))
    looked.set()
    delivering.join()
    assert SETTLER.drain(PATIENCE_S)
    meter.shutdown()


def test_an_event_waits_until_its_call_is_settled() -> None:
    calls = Unsettled()
    calls.begin("call_1")
    timer = threading.Timer(ENDS_S_MAX / 10, calls.end, [["call_1"]])
    began = time.monotonic()
    timer.start()
    calls.wait([made(properties=OF_CALL)])
    assert time.monotonic() - began >= ENDS_S_MAX / 10


def test_an_event_of_a_call_that_goes_on_does_not_wait_for_ever() -> None:
    calls = Unsettled()
    calls.begin("call_1")
    began = time.monotonic()
    calls.wait([made(properties=OF_CALL)])
    assert time.monotonic() - began >= ENDS_S_MAX


def _has_quota(url: str) -> bool:
    """Ask for one more call with the eyes of another process."""
    time.sleep(LOOK_S)
    with Engine(url) as engine:
        held = engine.quota_holds.hold("acme", lambda _: Decimal(1), expires_s=60, reference="")
        engine.quota_holds.forget(held)
    return bool(held)


def _available(url: str) -> object:
    """Look with the eyes of another process, which has seen nothing before."""
    time.sleep(LOOK_S)
    with Engine(url) as engine:
        return engine.wallets.available("acme")


def _wait(event: threading.Event) -> None:
    event.wait(PATIENCE_S)


def _body() -> bytes:
    return json.dumps(ASKED).encode()
