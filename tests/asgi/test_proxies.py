"""Who may name a customer in a header: the peer itself, and nobody whom a header names."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering
from tokenmeter import ConfigurationError, Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware

PATH = "/v1/chat/completions"
ASKED = json.dumps({"model": "gpt-4o", "messages": []}).encode()
USED = {"id": "c", "model": "gpt-4o", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
APP = answering(200, {"content-type": "application/json"}, [json.dumps(USED).encode()])
NAMED = ("x-customer-id", "acme")
UNIX = ("/run/gateway.sock", None)


async def customer_of(scope: Any, trusted: list[str], *, rewrites: bool = False) -> str | None:
    """Return who pays; `rewrites`: behind uvicorn's own proxy headers, as it runs by default."""
    meter = TokenMeter("memory:")
    app: Any = TokenMeterMiddleware(
        APP, customer="header:x-customer-id", trusted_proxies=trusted, meter=meter
    )
    server: Any = ProxyHeadersMiddleware(app, "*") if rewrites else app
    await ask(server, scope, ASKED)
    meter.flush(30)
    (event,) = meter.backend.events
    assert isinstance(event, Event)
    meter.shutdown()
    return event.external_customer_id


@pytest.mark.parametrize(
    "said",
    ["10.0.0.1", "10.0.0.1:1234", "10.0.0.1, 203.0.113.7", "[::ffff:10.0.0.1]:55", "::ffff:a00:1"],
)
async def test_nobody_becomes_a_proxy_by_saying_so(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    scope = scope_of("POST", PATH, [NAMED, ("x-forwarded-for", said)])
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        customer = await customer_of(scope, ["10.0.0.0/8"], rewrites=True)
    assert customer == "unattributed"
    assert "--no-proxy-headers" in caplog.text


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("::ffff:10.1.2.3", "10.0.0.0/8"),  # of a socket for both families
        ("::ffff:10.1.2.3", "::ffff:0:0/96"),
        ("fd00::7", "fd00::/8"),
        ("0:0:0:0:0:0:0:1", "::1"),
    ],
)
async def test_a_proxy_is_known_in_both_families(peer: str, trusted: str) -> None:
    forwarded = ("x-forwarded-for", "203.0.113.7")  # whom it speaks for; it is the peer itself
    scope = scope_of("POST", PATH, [NAMED, forwarded], peer=(peer, 4711))
    assert await customer_of(scope, [trusted]) == "acme"


@pytest.mark.parametrize(
    ("peer", "server", "trusted", "customer"),
    [
        (None, UNIX, ["unix"], "acme"),
        (None, UNIX, ["10.0.0.0/8"], "unattributed"),
        (None, ("gateway", 80), ["unix"], "unattributed"),  # the server does not say who it is
        (None, None, ["unix"], "unattributed"),
        (("203.0.113.7", 4711), UNIX, ["unix"], "unattributed"),
    ],
)
async def test_whoever_reaches_a_socket_in_the_file_system_can_be_trusted(
    peer: Any, server: Any, trusted: list[str], customer: str
) -> None:
    scope = {**scope_of("POST", PATH, [NAMED], peer=peer), "server": server}
    assert await customer_of(scope, trusted) == customer


@pytest.mark.parametrize("named", [["ten"], "10.0.0.0/8", ["10.0.0.1/8"]])
def test_what_names_no_proxy_is_refused_at_start(named: Any) -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        TokenMeterMiddleware(APP, customer="header:x-customer-id", trusted_proxies=named)
