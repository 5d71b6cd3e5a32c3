"""Two servers of one database, in processes of their own, are asked the same at one moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.cli.test_serve import KEY, serving
from tests.engine.sold import either_database
from tokenmeter.engine.local import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS, AT_ONCE = 6, 8  # so many tries, by so many clients at a time
TIMEOUT_S = 60.0


class Servers:
    """Both, and how much the customer's wallet holds."""

    def __init__(self, url: str, origins: list[str]) -> None:
        self.engine = Engine(url)
        self.clients = [
            httpx2.Client(
                base_url=origins[number % 2] + "/v1", headers={"x-api-key": KEY}, timeout=TIMEOUT_S
            )
            for number in range(AT_ONCE)
        ]
        customer = self.engine.definitions.create("customer", {"external_id": "acme"})
        fields = {"customer_id": customer["id"], "currency": "usd"}
        self.wallet = self.engine.wallets.create(fields)["id"]

    def all_ask(self, path: str, body: dict[str, Any]) -> list[httpx2.Response]:
        """All clients ask at once, half of them each server."""
        together = threading.Barrier(AT_ONCE)

        def ask(client: httpx2.Client) -> httpx2.Response:
            together.wait(TIMEOUT_S)
            return client.post(path, json=body)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(ask, self.clients))

    def credit(self) -> Decimal:
        (wallet,) = self.engine.wallets.of_customer("acme")
        return Decimal(wallet["credit_balance"])

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.engine.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    url = either_database(request, tmp_path)
    with serving(url, KEY) as (one, _), serving(url, KEY) as (other, _):
        both = Servers(url, [one, other])
        yield both
        both.close()


def test_a_key_adds_credits_once(servers: Servers) -> None:
    for number in range(ROUNDS):
        free = {"credits_to_add": 5, "transaction_reason": "FREE_CREDIT_GRANT"}
        asked = {**free, "idempotency_key": f"order-{number}"}
        answers = servers.all_ask(f"/wallets/{servers.wallet}/top-up", asked)
        assert {answer.status_code for answer in answers} <= {200, 201}, answers[0].text
        assert servers.credit() == 5 * (number + 1)


def test_an_event_counts_once(servers: Servers) -> None:
    for number in range(ROUNDS):
        about = {"event_name": "api_calls", "external_customer_id": "acme"}
        answers = servers.all_ask("/events", {**about, "event_id": f"evt_{number}"})
        assert {answer.status_code for answer in answers} == {202}
    assert len(servers.engine.events().events) == ROUNDS


def test_a_hold_of_ones_own_id_is_made_once_and_settled_once(servers: Servers) -> None:
    free = {"credits_to_add": 100, "transaction_reason": "FREE_CREDIT_GRANT"}
    servers.all_ask(f"/wallets/{servers.wallet}/top-up", {**free, "idempotency_key": "k"})
    for number in range(ROUNDS):
        asked = {"external_customer_id": "acme", "amount": "1", "id": f"hold_{number}"}
        made = [answer.status_code for answer in servers.all_ask("/holds", asked)]
        assert made.count(201) == 1, made
        assert set(made) == {201, 409}
        settled = servers.all_ask(f"/holds/hold_{number}/settle", {"amount": "0.5"})
        assert {answer.status_code for answer in settled} == {200}
        servers.engine.wallets.forget(servers.wallet)
        assert servers.engine.wallets.available("acme") == 100 - Decimal("0.5") * (number + 1)


def test_a_customer_of_one_external_id_is_made_once(servers: Servers) -> None:
    for number in range(ROUNDS):
        answers = servers.all_ask("/customers", {"external_id": f"c{number}", "name": "C"})
        made = [answer.status_code for answer in answers]
        assert made.count(201) == 1, made
        assert set(made) == {201, 409}
