"""Who may ask for what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.server.running import Server
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.keys import ApiKeys, Scope

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
METER = {
    "name": "calls",
    "event_name": "api_calls",
    "aggregation": {"type": "COUNT"},
    "reset_usage": "BILLING_PERIOD",
}


@pytest.mark.parametrize("key", [None, "wrong", "x" * 10_000])
def test_without_a_known_key_nothing_is_answered(server: Server, key: str | None) -> None:
    answer = server.client_with(key).get("/meters")
    assert (answer.status, answer.body) == (401, {"error": "Unauthorized"})


def test_a_bearer_token_is_a_key_too(server: Server) -> None:
    headers = {"x-api-key": "", "Authorization": f"Bearer {server.key}"}
    assert server.http.get("/v1/meters", headers=headers).status_code == 200


def test_a_key_is_shown_once_and_kept_as_a_hash(server: Server) -> None:
    made = server.made("/secrets/api/keys", {"name": "gateway", "scopes": ["ingest"]})
    secret = made["api_key"]
    listed = server.get("/secrets/api/keys").body
    assert secret not in str(listed)
    assert {key["name"] for key in listed["items"]} == {"test", "gateway"}
    with server.engine.store.reading() as connection:
        assert secret not in str(connection.execute(text("SELECT * FROM api_keys")).all())
    assert server.client_with(secret).post("/events", {}).status == 400  # it opens the door


def test_an_expired_key_opens_nothing(server: Server) -> None:
    server.clock.at = NOW
    soon = {"name": "short", "expires_at": (NOW + timedelta(seconds=1)).isoformat()}
    secret = server.made("/secrets/api/keys", soon)["api_key"]
    client = server.client_with(secret)
    assert client.get("/meters").status == 200
    server.clock.at = NOW + timedelta(seconds=1)
    assert client.get("/meters").status == 401


def test_a_key_cannot_expire_in_the_past(server: Server) -> None:
    past = {"name": "late", "expires_at": "2020-01-01T00:00:00Z"}
    assert server.post("/secrets/api/keys", past).status == 400


def test_a_revoked_key_opens_nothing(server: Server) -> None:
    made = server.made("/secrets/api/keys", {"name": "lost"})
    client = server.client_with(made["api_key"])
    assert client.get("/meters").status == 200
    assert server.delete(f"/secrets/api/keys/{made['secret']['id']}").status == 204
    assert client.get("/meters").status == 401


def test_scopes_open_what_they_name_and_nothing_else(server: Server) -> None:
    ingest, read = server.client("", Scope.INGEST), server.client("", Scope.READ)
    event = {"event_name": "e", "external_customer_id": "c"}
    asked = [
        (ingest.post("/events", event), 202),
        (ingest.get("/meters"), 403),
        (ingest.post("/meters", METER), 403),
        (read.get("/meters"), 200),
        (read.post("/meters/search", {}), 200),
        (read.post("/meters", METER), 403),
        (read.post("/events", event), 403),
        (read.get("/secrets/api/keys"), 403),
        (server.post("/meters", METER), 201),
    ]
    assert [answer.status for answer, _ in asked] == [status for _, status in asked]
    assert asked[1][0].body["code"] == "permission_denied"


def test_a_key_makes_keys_for_its_own_environment_only(server: Server) -> None:
    staging = server.client("staging")
    made = staging.made("/secrets/api/keys", {"name": "more", "environment": "production"})
    assert made["secret"]["environment_id"] == "staging"
    assert {k["name"] for k in server.get("/secrets/api/keys").body["items"]} == {"test"}
    revoked = server.delete(f"/secrets/api/keys/{made['secret']['id']}")
    assert revoked.status == 404


@pytest.mark.parametrize("scopes", [["root"], [], "everything", [7]])
def test_an_unknown_scope_is_refused(server: Server, scopes: object) -> None:
    answer = server.post("/secrets/api/keys", {"name": "k", "scopes": scopes})
    assert answer.status == (201 if scopes == [] else 400)


def test_a_chosen_key_must_not_be_guessable(server: Server) -> None:
    keys = ApiKeys(server.engine.store)
    for weak in ("", "short", "with space at end ", "ключключключключ"):
        with pytest.raises(ValidationError):
            keys.create("", [Scope.ADMIN], secret=weak)


def test_ensuring_a_key_twice_keeps_one(server: Server) -> None:
    keys = ApiKeys(server.engine.store)
    first = keys.ensure("", "a-key-somebody-chose")
    assert keys.ensure("", "a-key-somebody-chose") == first
    assert first.scopes == {Scope.ADMIN}
