"""What a gateway asks before a call: charges of events, and holds that it names itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.server import test_money as money
from tests.server.running import Server
from tokenmeter.engine.keys import Scope

shop = money.shop  # the story's catalog, ten images included


def test_a_client_can_name_its_hold_and_void_it_unseen(
    server: Server, shop: dict[str, Any]
) -> None:
    money.wallet(server)
    asked = {"external_customer_id": "cust_001", "amount": "6", "id": "hold_of_mine"}
    assert server.made("/holds", asked)["id"] == "hold_of_mine"
    money.check_refused(server, "/holds", {**asked, "amount": "1"}, "already_exists")
    assert server.made("/holds/hold_of_mine/void", {})["state"] == "voided"


def test_charges_are_told_before_the_events_are_stored(
    server: Server, shop: dict[str, Any]
) -> None:
    said = {"provider": "openai", "model": "dall-e-3", "quality": "standard"}
    event = {"event_name": "image_generated", "external_customer_id": "cust_001"}
    events: list[dict[str, Any]] = [
        {**event, "properties": {**said, "image_count": count}} for count in (10, 11, 12)
    ]
    events.append({**events[0], "external_customer_id": "nobody"})
    gateway = server.client("", Scope.INGEST)
    included, one, two, nobody = gateway.made("/charges", {"events": events})["charges"]
    assert included == {"amount": "0", "currency": "usd"}
    assert 0 < 2 * Decimal(one["amount"]) == Decimal(two["amount"])
    assert nobody is None
    assert server.engine.events().events == ()
    money.check_refused(gateway, "/charges", {"events": []}, "validation_error")
