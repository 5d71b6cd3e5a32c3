"""Whose request it is, and who cannot make it somebody else's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, Identity, Incoming, TokenMeterMiddleware
from tokenmeter.errors import ConfigurationError

PATH = "/v1/chat/completions"
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini",
        "choices": [],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
    }
).encode()
APP = answering(200, {"content-type": "application/json"}, [ANSWER])


async def whose(scope: Any, **options: Any) -> Any:
    """The event of one request."""
    meter = TokenMeter("memory:")
    await ask(TokenMeterMiddleware(APP, meter=meter, **options), scope, ASKED)
    meter.flush(30)
    (event,) = meter.backend.events
    meter.shutdown()
    return event


async def slow_lookup(request: Incoming) -> str | None:
    await asyncio.sleep(0)
    return {"k-acme": "acme"}.get(request.api_key or "")


def nobody_but_acme(_request: Incoming) -> str:
    return "acme"


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Bearer k-acme"),
        ("x-api-key", "k-acme"),
        ("api-key", "k-acme"),
        ("x-goog-api-key", "k-acme"),
    ],
)
@pytest.mark.parametrize("customer", [slow_lookup, ApiKeys({"k-acme": "acme"})])
async def test_the_key_of_every_sdk_names_the_customer(
    header: tuple[str, str], customer: Any
) -> None:
    event = await whose(scope_of("POST", PATH, [header]), customer=customer)
    assert event.external_customer_id == "acme"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
async def test_of_two_keys_none_counts(name: str) -> None:
    """Whoever stands before the gateway may have believed the other one."""
    keys = ApiKeys({"k-acme": "acme", "k-beta": "beta"})
    said = "Bearer {}" if name == "authorization" else "{}"

    async def customer(*sent: str) -> str:
        headers = [(name, said.format(key)) for key in sent]
        scope = scope_of("POST", PATH, [("accept", "a"), ("accept", "b"), *headers])
        found: str = (await whose(scope, customer=keys)).external_customer_id
        return found

    assert await customer("k-acme", "k-beta") == "unattributed"
    assert await customer("k-acme", "k-acme") == "acme"
    assert await customer("k-beta") == "beta"


async def test_googles_key_in_the_query_names_the_customer() -> None:
    scope = scope_of("POST", f"{PATH}?key=k-acme")
    assert (await whose(scope, customer=slow_lookup)).external_customer_id == "acme"


async def test_an_identity_brings_its_feature() -> None:
    keys = ApiKeys({"k": Identity("acme", feature="search")})
    event = await whose(scope_of("POST", PATH, [("x-api-key", "k")]), customer=keys)
    assert event.properties["feature"] == "search"


@pytest.mark.parametrize(
    "path",
    [
        *(PATH, PATH + "/", "//v1/chat/completions", "/v1/./x/../chat/completions;a=b"),
        *("/V1/Chat/Completions", "/v1%2fchat/completions", "/" * 300 + "v1/chat/completions"),
    ],
)
async def test_the_path_is_one_feature_however_it_is_spelled(path: str) -> None:
    scope = {**scope_of("POST", PATH), "path": path}
    event = await whose(scope, customer=nobody_but_acme, feature="path")
    assert event.properties["feature"] == PATH


class Account:
    """Somebody's object, which does not say how it is written."""


@pytest.mark.parametrize(
    ("found", "customer"),
    [
        *((b"acme", "acme"), (5, "5"), (Account(), "unattributed"), (True, "unattributed")),
        *(({"id": 5}, "unattributed"), (["acme"], "unattributed"), ("", "unattributed")),
    ],
)
async def test_what_is_no_name_is_nobody(found: Any, customer: str) -> None:
    def look(_request: Incoming) -> Any:
        return found

    event = await whose(scope_of("POST", PATH), customer=look)
    assert event.external_customer_id == customer


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_key_may_be_in_any_language(encoding: str) -> None:
    scope = scope_of("POST", PATH)
    scope["headers"].append((b"authorization", "Bearer schlüssel".encode(encoding)))
    event = await whose(scope, customer=ApiKeys({"schlüssel": "acme"}))
    assert event.external_customer_id == "acme"


TRUSTED: dict[str, Any] = {"customer": "header:x-customer-id", "trusted_proxies": ["10.0.0.0/8"]}


@pytest.mark.parametrize(
    ("peer", "values", "customer"),
    [
        ("10.1.2.3", ["acme"], "acme"),
        ("203.0.113.7", ["acme"], "unattributed"),  # the client itself says so
        ("10.1.2.3", ["acme", "globex"], "unattributed"),  # one of them is smuggled in
        ("10.1.2.3", ["ac\x0bme"], "unattributed"),
        ("10.1.2.3", ["x" * 300], "unattributed"),
        ("unix-socket", ["acme"], "unattributed"),
    ],
)
async def test_a_header_counts_only_once_and_from_a_trusted_proxy(
    peer: str, values: list[str], customer: str
) -> None:
    headers = [("x-customer-id", value) for value in values]
    event = await whose(scope_of("POST", PATH, headers, peer=(peer, 1)), **TRUSTED)
    assert event.external_customer_id == customer


async def test_no_header_of_ours_can_be_sent_in() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(name for name, _ in scope["headers"])
        await APP(scope, receive, send)

    meter = TokenMeter("memory:")
    sent = [("X-TokenMeter-Event-Id", "evt_forged"), ("x-tokenmeter-run-id", "r"), ("a", "b")]
    gateway = TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter)
    await ask(gateway, scope_of("POST", PATH, sent), ASKED)
    assert seen == [b"a"]
    meter.shutdown()


@pytest.mark.parametrize("path", [PATH, "/v1/messages", "/v1beta/models/g:generateContent"])
async def test_nobody_is_refused_in_the_callers_own_dialect(path: str) -> None:
    meter = TokenMeter("memory:")
    gateway = TokenMeterMiddleware(
        APP, customer=ApiKeys({"k": "acme"}), anonymous=False, meter=meter
    )
    answered = await ask(gateway, scope_of("POST", path, [("x-api-key", "wrong")]), ASKED)
    assert answered.status == 401
    error = json.loads(answered.body)["error"]
    words = {error.get("code"), error.get("status"), error.get("type")}
    assert words & {"invalid_api_key", "authentication_error", "UNAUTHENTICATED"}
    meter.flush(30)
    assert meter.backend.events == []
    meter.shutdown()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give it customer="),
        ({"customer": "header:x-customer-id"}, "trusted_proxies"),
        ({"customer": "path"}, "is no source"),
        ({"customer": "acme"}, "is no source"),
        ({"customer": "header:x", "trusted_proxies": ["ten"]}, "is no address or network"),
        ({"customer": ApiKeys({"k": "a"}), "feature": "header:x"}, "can be forged"),
        ({"customer": ApiKeys({"k": "a"}), "prefixes": {"kling": "kling"}}, "begins with a slash"),
        ({"customer": ApiKeys({"k": "a"}), "body_bytes_max": 0}, "body_bytes_max"),
        ({"customer": ApiKeys({"k": "a"}), "routes": "/mine"}, "routes='/mine' is no function"),
        ({"customer": ApiKeys({"k": "a"}), "limits": [60]}, "limits holds 60; give it such as"),
        ({"customer": ApiKeys({"k": "a"}), "enforce": slow_lookup}, "is an async function"),
        ({"customer": {"k": "a"}}, r"customer=dict is no source; .* ApiKeys"),
        ({**TRUSTED, "customer": "header:a b"}, "is no source"),
        ({**TRUSTED, "trusted_proxies": None}, "trusted_proxies=None is no list"),
        ({"customer": ApiKeys({"k": "a"}), "plan": 5}, "plan=int is no source"),
        ({"customer": ApiKeys({"k": "a"}), "prefixes": {"/x": 5}}, "prefixes names 5"),
        ({"customer": ApiKeys({"k": "a"}), "prefixes": 5}, "prefixes=5 is no mapping"),
        ({"customer": ApiKeys({"k": "a"}), "meter": "memory:"}, "meter= is of str"),
        ({"customer": ApiKeys({"k": "a"}), "enforcement": {}}, "enforcement= is of dict"),
        ({"customer": ApiKeys({"k": "a"}), "limits": 5}, "limits=5 is no list"),
        ({"customer": ApiKeys({"k": "a"}), "body_bytes_max": "1"}, "body_bytes_max"),
    ],
)
def test_a_wrong_configuration_is_refused_at_start(options: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        TokenMeterMiddleware(APP, **options)


def test_keys_are_not_kept() -> None:
    keys = ApiKeys({"secret-key": "acme"})
    assert "secret" not in repr(keys)
    assert "secret" not in repr(vars(keys))


@pytest.mark.parametrize(
    "keys", [{}, {"": "a"}, {b"k": "a"}, {5: "a"}, [("k", "a")], "k=a", {"k": ""}, {"k": None}]
)
def test_keys_that_are_none_are_refused_at_start(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="ApiKeys"):
        ApiKeys(keys)
