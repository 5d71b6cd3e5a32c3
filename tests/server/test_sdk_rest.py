"""The methods of the official SDK that no other test calls, and those that are not served."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import flexprice
import pytest
from flexprice.models import errors

from tests.server.running import Server
from tests.server.test_sdk import NOW, START, sdk, sell

__all__ = ["sdk"]  # the fixture
MONTH = NOW + timedelta(days=30)
VERBS = {"GET", "POST", "PUT", "DELETE", "PATCH"}


@pytest.fixture
def sold(sdk: Any) -> Any:
    """A subscription, as the SDK returns it."""
    return sdk.subscriptions.get_subscription(id=sell(sdk))


def test_cost_sheets_are_read_searched_changed_and_deleted(sdk: Any) -> None:
    made = sdk.costs.create_costsheet(name="Costs", lookup_key="costs", metadata={"a": "1"})
    sheet = made.costsheet
    assert sdk.costs.get_costsheet(id=sheet.id).costsheet.name == "Costs"
    changed = sdk.costs.update_costsheet(id=sheet.id, name="Ours", metadata={"a": "2"}).costsheet
    assert (changed.name, changed.lookup_key, changed.metadata) == ("Ours", "costs", {"a": "2"})
    assert [one.id for one in sdk.costs.query_costsheet(lookup_key="costs").items] == [sheet.id]
    assert sdk.costs.query_costsheet(lookup_key="other").items == []
    sdk.costs.delete_costsheet(id=sheet.id)
    with pytest.raises(errors.ErrorResponse):
        sdk.costs.get_active_costsheet()


def test_a_credit_grant_is_changed_listed_and_ended(sdk: Any, sold: Any) -> None:
    grant = sdk.credit_grants.create_credit_grant(
        name="Monthly",
        scope="PLAN",
        plan_id=sold.plan_id,
        credits="10",
        cadence="RECURRING",
        period="MONTHLY",
        period_count=1,
        expiration_type="NEVER",
    )
    changed = sdk.credit_grants.update_credit_grant(id=grant.id, name="Each month")
    assert (changed.name, changed.credits) == ("Each month", "10")
    (listed,) = sdk.credit_grants.get_plan_credit_grants(id=sold.plan_id).items
    assert (listed.id, listed.name) == (grant.id, "Each month")
    sdk.credit_grants.delete_credit_grant(id=grant.id, effective_date=NOW)
    assert sdk.customers.get_customer_upcoming_grants(id=sold.customer_id).items == []


def test_a_plan_a_feature_and_an_entitlement_are_read_and_changed(sdk: Any, sold: Any) -> None:
    plan = sdk.plans.update_plan(id=sold.plan_id, name="Professional", metadata={"tier": "2"})
    assert (plan.name, plan.lookup_key, plan.metadata) == ("Professional", "pro", {"tier": "2"})
    assert sdk.plans.get_plan(id=sold.plan_id).name == "Professional"
    feature = (sdk.features.query_feature().items or [])[0]
    changed = sdk.features.update_feature(id=feature.id, description="What is asked")
    assert (changed.description, changed.name) == ("What is asked", feature.name)
    made = sdk.entitlements.create_entitlement(
        plan_id=sold.plan_id, feature_id=feature.id, feature_type="metered", usage_limit=7
    )
    assert sdk.entitlements.get_entitlement(id=made.id).usage_limit == 7


def test_price_units_are_searched_read_and_deleted(sdk: Any) -> None:
    made = sdk.price_units.create_price_unit(
        name="Token", code="TOK", symbol="t", base_currency="usd", conversion_rate="0.5"
    )
    assert sdk.price_units.get_price_unit(id=made.id).code == made.code
    assert [u.id for u in sdk.price_units.query_price_unit(price_unit_ids=[made.id]).items] == [
        made.id
    ]
    sdk.price_units.delete_price_unit(id=made.id)
    assert made.id not in {u.id for u in sdk.price_units.query_price_unit().items}


def test_keys_are_listed_and_taken_back(sdk: Any) -> None:
    made = sdk.secrets.create_api_key(name="gateway", type_="private_key")
    sdk.secrets.delete_api_key(id=made.secret.id)
    states = {one.id: one.status for one in sdk.secrets.list_api_keys().items}
    assert states.pop(made.secret.id) == "archived"
    assert set(states.values()) == {"published"}


def test_subscriptions_and_their_lines_are_searched_changed_and_ended(sdk: Any, sold: Any) -> None:
    assert sdk.subscriptions.get_subscription_v2(id=sold.id).id == sold.id
    found = sdk.subscriptions.query_subscription(external_customer_id="acme").items
    assert [one.id for one in found] == [sold.id]
    with pytest.raises(errors.FlexpriceError, match="no customer 'nobody'"):
        sdk.subscriptions.query_subscription(external_customer_id="nobody")
    changed = sdk.subscriptions.update_subscription(id=sold.id, cancel_at=MONTH)
    assert (changed.cancel_at, changed.end_date) == (MONTH, MONTH)
    changed = sdk.subscriptions.update_subscription(id=sold.id, cancel_at_period_end=True)
    assert changed.cancel_at == changed.end_date == changed.current_period_end
    changed = sdk.subscriptions.update_subscription(id=sold.id, cancel_at_period_end=False)
    assert (changed.cancel_at, changed.end_date) == (None, None)
    with pytest.raises(errors.FlexpriceError, match="inherited subscriptions"):
        sdk.subscriptions.update_subscription(id=sold.id, parent_subscription_id="subs_1")
    lines = sdk.subscriptions.query_subscription_line_items(subscription_ids=[sold.id]).items
    assert len(lines) == len(sold.line_items) == 4
    ended = sdk.subscriptions.delete_subscription_line_item(
        id=lines[0].id, effective_from=NOW.isoformat()
    )
    assert (ended.id, ended.end_date) == (lines[0].id, NOW)
    assert sdk.subscriptions.activate_subscription(id=sold.id, start_date=START) is not None
    with pytest.raises(errors.ErrorResponse, match="only a draft can start anew"):
        sdk.subscriptions.activate_subscription(id=sold.id, start_date=NOW)


def test_wallets_are_searched(sdk: Any, sold: Any) -> None:
    made = sdk.wallets.create_wallet(currency="usd", customer_id=sold.customer_id)
    assert [one.id for one in sdk.wallets.query_wallet().items] == [made.id]


def methods() -> Iterator[tuple[str, str]]:
    """What the SDK's methods ask for: verb and path."""
    for module in Path(flexprice.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            said = {
                k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)
            }
            if said.get("method") in VERBS and isinstance(said.get("path"), str):
                yield str(said["method"]), str(said["path"])


def test_what_is_not_served_is_said_so_and_never_answered(server: Server) -> None:
    spec = server.http.get("/openapi.json").json()
    served = {
        (verb.upper(), re.sub(r"{[^}]*}", "{}", path))
        for path, verbs in spec["paths"].items()
        for verb in verbs
    }
    asked = {(verb, re.sub(r"{[^}]*}", "{}", path)) for verb, path in methods()}
    unserved = sorted((v, p) for v, p in asked if (v, f"/v1{p}") not in served)
    assert len(asked) - len(unserved) > 90
    assert len(unserved) > 100
    for verb, path in unserved:
        answer = server.ask(verb, path.replace("{}", "some_id"), None if verb == "GET" else {})
        assert answer.status in {404, 405}, (verb, path, answer)
        said = answer.body["message"]
        clear = (f"This server has no {verb} /v1{path.replace('{}', 'some_id')};", "There is no ")
        assert said.startswith(clear), (verb, path, answer)


def test_a_filter_that_a_list_does_not_know_is_refused_and_not_ignored(
    sdk: Any, sold: Any
) -> None:
    asked: list[tuple[Any, dict[str, Any]]] = [
        (sdk.invoices.query_invoice, {"period_start_gte": "2026-01-01T00:00:00Z"}),
        (sdk.invoices.query_invoice, {"amount_due_gt": "5"}),
        (sdk.wallets.query_wallet, {"alert_enabled": False}),
        (sdk.customers.query_customer, {"metadata": {"a": "b"}}),
        (sdk.subscriptions.query_subscription, {"active_at": NOW}),
    ]
    for ask, narrowed in asked:
        with pytest.raises(errors.ErrorResponse, match="cannot be narrowed by it"):
            ask(**narrowed)
    lines = sdk.subscriptions.query_subscription_line_items
    assert len(lines(currencies=["usd"], billing_periods=["MONTHLY"]).items) == 4
    assert lines(currencies=["eur"]).items == []
