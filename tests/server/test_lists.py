"""Lists: searches show in full what `expand` names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server
from tests.server.story import catalog


@pytest.fixture
def shop(server: Server) -> dict[str, dict[str, Any]]:
    return catalog(server)


@pytest.mark.parametrize(
    ("path", "expand", "field"),
    [
        ("/features", "meters", "meter"),
        ("/prices", "meters", "meter"),
        ("/plans", "prices,entitlements", "prices"),
        ("/entitlements", "features,plans", "feature"),
    ],
)
def test_a_search_shows_in_full_what_expand_names(
    server: Server, shop: dict[str, Any], path: str, expand: str, field: str
) -> None:
    plain = server.post(f"{path}/search", {}).body["items"]
    assert all(field not in item for item in plain)
    assert server.post(f"{path}/search", {"expand": expand}).body["items"][0][field]
    assert server.get(path, expand=expand).body["items"][0][field]


def test_a_number_with_a_fraction_is_kept_wherever_a_request_holds_one(
    server: Server, shop: dict[str, Any]
) -> None:
    alerts = {"critical": {"threshold": 1.5, "condition": "below"}, "alert_enabled": True}
    made = server.made(
        "/wallets",
        {
            "external_customer_id": "cust_001",
            "currency": "usd",
            "alert_settings": alerts,
            "auto_topup": {"enabled": False, "threshold": 0.5, "amount": 2.25},
        },
    )
    kept = server.get(f"/wallets/{made['id']}").body
    assert kept["auto_topup"]["amount"] == "2.25"
    feature = server.put(
        f"/features/{shop['/features']['id']}",
        {"alert_settings": {"critical": {"threshold": 0.1, "condition": "above"}}},
    )
    assert feature.status == 200
    unit = {"unit_singular": "k", "unit_plural": "ks", "conversion_rate": 0.001}
    answer = server.put(f"/features/{shop['/features']['id']}", {"reporting_unit": unit})
    assert answer.body["reporting_unit"]["conversion_rate"] == "0.001"
