"""A middleware that is made before the default meter is set asks the one that is set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tokenmeter
from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import IMAGE_PATH, funded
from tests.asgi.test_enforcement import ASKED, MADE
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement.settling import SETTLER


@pytest.fixture(autouse=True)
def nothing_before() -> Iterator[None]:
    """No default meter, before and after."""
    tokenmeter.shutdown()
    yield
    tokenmeter.shutdown()


async def status_of(app: TokenMeterMiddleware) -> int:
    scope = scope_of("POST", IMAGE_PATH, [("content-type", "application/json")])
    return (await ask(app, scope, json.dumps(ASKED).encode())).status


@pytest.mark.parametrize("configured_before", [True, False])
async def test_wallets_are_those_of_the_default_meter_that_is_set_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, configured_before: bool
) -> None:
    """It asked the database of before, which was closed: each call was refused with 503."""
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TOKENMETER_BACKEND", raising=False)
    if configured_before:
        tokenmeter.configure(f"sqlite:///{tmp_path / 'before.db'}")
    app = TokenMeterMiddleware(MADE, customer=lambda _: "acme", enforce="wallet")
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit="1").close()
    tokenmeter.configure(url)
    assert [await status_of(app) for _ in range(3)] == [200, 200, 402]
    assert SETTLER.drain(10)
    assert tokenmeter.flush(30)
