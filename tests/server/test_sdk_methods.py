"""Methods of the official SDK beside its story: each answer parses, and says what is so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flexprice.models import errors

from tests.server.running import Server
from tests.server.test_sdk import NOW, START, sdk, sell, send_twice

__all__ = ["sdk"]  # the fixture


@pytest.fixture
def sold(sdk: Any) -> Any:
    """A subscription with its usage, as the SDK returns it."""
    held = sdk.subscriptions.get_subscription(id=sell(sdk))
    send_twice(sdk)
    return held


def test_a_customers_own_view(sdk: Any, sold: Any) -> None:
    customer = sold.customer_id
    assert sdk.customers.get_customer(id=customer).external_id == "acme"
    (listed,) = sdk.customers.get_subscriptions_for_customer(external_id="acme").items or []
    assert listed.id == sold.id
    feature = (sdk.features.query_feature().items or [])[0].id
    made = sdk.entitlements.create_entitlements_bulk(
        items=[
            {
                "plan_id": sold.plan_id,
                "feature_id": feature,
                "feature_type": "metered",
                "usage_limit": 1_000,
            }
        ]
    )
    (entitlement,) = made.items or []
    assert sdk.entitlements.update_entitlement(id=entitlement.id, usage_limit=5).usage_limit == 5
    for view in (
        sdk.customers.get_customer_entitlements(id=customer),
        sdk.customers.get_customer_entitlements_by_external_id(external_id="acme"),
        sdk.subscriptions.get_subscription_entitlements(id=sold.id),
    ):
        assert [f.feature.id for f in view.features or []] == [feature]
    summary = sdk.customers.get_customer_usage_summary(customer_lookup_key="acme")
    assert [f.total_limit for f in summary.features or []] == [5]
    sdk.entitlements.delete_entitlement(id=entitlement.id)
    assert sdk.entitlements.query_entitlement(plan_ids=[sold.plan_id]).items == []


def test_upcoming_grants(sdk: Any, sold: Any) -> None:
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
    for view in (
        sdk.customers.get_customer_upcoming_grants(id=sold.customer_id),
        sdk.subscriptions.get_subscription_upcoming_grants(id=sold.id),
    ):
        upcoming = view.items or []
        assert {(one.credits, one.credit_grant_id) for one in upcoming} == {("10", grant.id)}
        assert len(upcoming) == 12
        assert (upcoming[0].scheduled_for or "").startswith("2026-12-01T00:00:00")
    with pytest.raises(errors.ErrorResponse):
        sdk.subscriptions.get_subscription_upcoming_grants(id="subs_unknown")


def test_invoices_are_drafted_recalculated_finalized_and_voided(sdk: Any, sold: Any) -> None:
    invoice = sdk.invoices.create_invoice(
        customer_id=sold.customer_id,
        subscription_id=sold.id,
        currency="usd",
        amount_due="0",
        subtotal="0",
        total="0",
        period_start=START,
        period_end=NOW,
    )
    told = sdk.invoices.get_invoice(id=invoice.id or "")
    assert Decimal(told.total or "0") > 0
    sdk.invoices.recalculate_invoice(id=invoice.id or "")
    assert sdk.invoices.recalculate_invoice_v2(id=invoice.id or "").total == told.total
    sdk.invoices.finalize_invoice(id=invoice.id or "")
    with pytest.raises(errors.ErrorResponse):
        sdk.invoices.recalculate_invoice(id=invoice.id or "")
    listed = sdk.invoices.query_invoice(customer_id=sold.customer_id).items or []
    assert [(one.id, one.invoice_status) for one in listed] == [(invoice.id, "FINALIZED")]
    sdk.invoices.void_invoice(id=invoice.id or "")
    assert sdk.invoices.get_invoice(id=invoice.id or "").invoice_status == "VOIDED"


def closed(sdk: Any, sold: Any) -> Any:
    """A finalized invoice of the subscription."""
    zero: dict[str, Any] = dict.fromkeys(("amount_due", "subtotal", "total"), "0")
    about = {"customer_id": sold.customer_id, "subscription_id": sold.id, "currency": "usd"}
    invoice = sdk.invoices.create_invoice(**about, **zero, period_start=START, period_end=NOW)
    sdk.invoices.finalize_invoice(id=invoice.id)
    return sdk.invoices.get_invoice(id=invoice.id)


def test_what_is_added_to_an_invoice_leaves_its_own_bytes(
    sdk: Any, sold: Any, server: Server
) -> None:
    invoice = closed(sdk, sold)
    before = server.get(f"/invoices/{invoice.id}/document").body
    told = sdk.invoices.update_invoice(id=invoice.id, due_date=NOW, metadata={"po": "7"})
    assert (told.due_date, told.metadata, told.total) == (NOW, {"po": "7"}, invoice.total)
    told = sdk.invoices.update_invoice(id=invoice.id, invoice_pdf_url="https://pdf.example/7")
    assert (told.due_date, told.invoice_pdf_url) == (NOW, "https://pdf.example/7")
    assert server.get(f"/invoices/{invoice.id}/document").body == before
    (listed,) = sdk.invoices.query_invoice(customer_id=sold.customer_id).items
    assert listed.metadata == {"po": "7"}
    with pytest.raises(errors.ErrorResponse, match="coupons"):
        sdk.invoices.update_invoice(id=invoice.id, apply_discount=True)
    sdk.invoices.void_invoice(id=invoice.id)
    with pytest.raises(errors.ErrorResponse):
        sdk.invoices.update_invoice(id=invoice.id, metadata={})


def test_a_customers_summary_tells_what_is_unpaid_and_overdue(
    sdk: Any, sold: Any, server: Server
) -> None:
    empty = sdk.invoices.get_customer_invoice_summary(id=sold.customer_id)
    assert (empty.customer_id, empty.summaries) == (sold.customer_id, [])
    invoice = closed(sdk, sold)
    sdk.invoices.update_invoice(id=invoice.id, due_date=NOW)

    def summary() -> Any:
        (found,) = sdk.invoices.get_customer_invoice_summary(id=sold.customer_id).summaries
        return found

    left, one = invoice.amount_remaining, summary()
    assert (one.total_unpaid_amount, one.total_overdue_amount) == (left, "0.00")
    server.clock.at = NOW + timedelta(seconds=1)
    one = summary()
    assert (one.currency, one.total_overdue_amount, one.overdue_invoice_count) == ("usd", left, 1)
    parts = Decimal(one.unpaid_usage_charges) + Decimal(one.unpaid_fixed_charges)
    assert (parts, one.total_invoice_count) == (Decimal(left), 1)
    sdk.invoices.update_invoice_payment_status(id=invoice.id, payment_status="SUCCEEDED")
    one = summary()
    assert (one.unpaid_invoice_count, one.total_unpaid_amount) == (0, "0.00")
    assert one.total_revenue_amount == invoice.amount_due
    with pytest.raises(errors.FlexpriceDefaultError, match="no customer 'nobody'"):
        sdk.invoices.get_customer_invoice_summary(id="nobody")


def test_prices_and_units_are_read_changed_and_ended(sdk: Any, sold: Any) -> None:
    price = sdk.prices.get_price(id=sold.line_items[0].price_id)
    changed = sdk.prices.update_price(id=price.id or "", amount="0.5")
    assert changed.amount == "0.5"
    assert changed.parent_price_id == price.id
    assert len(sdk.prices.query_price(plan_ids=[sold.plan_id], limit=2).items or []) == 2
    (unit,) = sdk.price_units.list_price_units().items or []
    assert sdk.price_units.get_price_unit_by_code(code="CREDIT").id == unit.id
    assert sdk.price_units.update_price_unit(id=unit.id or "", name="Coin").name == "Coin"
    sdk.prices.delete_price(id=changed.id or "", end_date=NOW + timedelta(days=1))
    assert sdk.prices.get_price(id=changed.id or "").end_date == NOW + timedelta(days=1)


def test_a_line_item_brings_its_own_price_and_changes_it(sdk: Any, sold: Any) -> None:
    fixed = {
        "type": "FIXED",
        "price_unit_type": "FIAT",
        "billing_model": "FLAT_FEE",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
        "invoice_cadence": "ARREAR",
        "amount": "5",
    }
    item = sdk.subscriptions.create_subscription_line_item(
        id=sold.id, price=fixed, quantity="2", start_date=START
    )
    price = sdk.prices.get_price(id=item.price_id)
    assert (price.amount, price.entity_type, price.entity_id) == ("5", "SUBSCRIPTION", sold.id)
    changed = sdk.subscriptions.update_subscription_line_item(
        id=item.id, amount="6", effective_from="2026-11-16T00:00:00Z"
    )
    price = sdk.prices.get_price(id=changed.price_id)
    assert (price.amount, price.parent_price_id) == ("6", item.price_id)
    invoice = sdk.invoices.get_invoice_preview(
        subscription_id=sold.id, period_start=START, period_end=START + timedelta(days=30)
    )
    own = [one for one in invoice.line_items if one.price_id in (item.price_id, price.id)]
    assert sum(Decimal(one.amount) for one in own) == 2 * Decimal("2.5") + 2 * Decimal("3")
    usage = sold.line_items[0]
    before = sdk.subscriptions.get_subscription_usage(subscription_id=sold.id).amount
    sdk.subscriptions.update_subscription_line_item(id=usage.id, amount="0.5")
    raised = sdk.subscriptions.get_subscription_usage(subscription_id=sold.id).amount
    assert raised == before  # what was used until now costs what it did


def test_wallets_are_read_changed_and_closed(sdk: Any, sold: Any) -> None:
    wallet = sdk.wallets.create_wallet(
        currency="usd", external_customer_id="acme", initial_credits_to_load="5"
    )
    found = sdk.wallets.get_wallets_by_customer_id(id=sold.customer_id)
    assert [one.id for one in found] == [wallet.id]
    assert sdk.wallets.update_wallet(id=wallet.id or "", name="Main").name == "Main"
    (credit,) = sdk.wallets.query_wallet_transaction().items or []
    assert credit.credit_amount == "5"
    sdk.wallets.terminate_wallet(id=wallet.id or "")
    assert sdk.wallets.get_wallet(id=wallet.id or "").wallet_status == "closed"


def test_a_subscription_takes_the_prices_of_its_plan_that_it_names(sdk: Any, sold: Any) -> None:
    prices = [item.price_id for item in sold.line_items]
    for named in (prices[:2], []):
        subscription = sdk.subscriptions.create_subscription(
            plan_id=sold.plan_id,
            external_customer_id="acme",
            currency="usd",
            billing_period="MONTHLY",
            include_price_ids=named,
        )
        assert sorted(i.price_id for i in subscription.line_items or []) == sorted(named)
        sdk.plans.sync_plan_prices(id=sold.plan_id)  # brings none of the others
        held = sdk.subscriptions.get_subscription(id=subscription.id).line_items or []
        assert sorted(item.price_id for item in held) == sorted(named)
    with pytest.raises(errors.ErrorResponse, match="include_price_ids"):
        sdk.subscriptions.create_subscription(
            plan_id=sold.plan_id,
            external_customer_id="acme",
            currency="usd",
            billing_period="MONTHLY",
            include_price_ids=["price_unknown"],
        )


def test_credits_that_come_with_others_expire_by_themselves(sdk: Any, sold: Any) -> None:
    wallet = sdk.wallets.create_wallet(
        currency="usd",
        customer_id=sold.customer_id,
        initial_credits_to_load="1",
        initial_credits_to_load_expiry_date=20270102,
    )
    for key, bonus in (("later", "2027-05-01T00:00:00Z"), ("never", None)):
        sdk.wallets.top_up_wallet(
            id=wallet.id,
            credits_to_add="2",
            transaction_reason="PURCHASED_CREDIT_DIRECT",
            expiry_date_utc="2027-03-01T00:00:00Z",
            bonus_credits_to_add="3",
            bonus_credits_expiry_date_utc=bonus,
            idempotency_key=key,
        )
    made = sdk.wallets.get_wallet_transactions(id_path_parameter=wallet.id).items or []
    told = sorted((one.credit_amount, str(one.expiry_date or "never")[:10]) for one in made)
    assert told == [
        ("1", "2027-01-02"),
        ("2", "2027-03-01"),
        ("2", "2027-03-01"),
        ("3", "2027-05-01"),
        ("3", "never"),
    ]
    with pytest.raises(errors.ErrorResponse, match="YYYYMMDD"):
        sdk.wallets.create_wallet(
            currency="eur",
            customer_id=sold.customer_id,
            initial_credits_to_load="1",
            initial_credits_to_load_expiry_date=7,
        )


def test_a_subscription_is_cancelled_at_once(sdk: Any, sold: Any) -> None:
    sdk.subscriptions.cancel_subscription(id=sold.id, cancellation_type="immediate")
    assert sdk.subscriptions.get_subscription(id=sold.id).subscription_status == "cancelled"
    meter = sold.line_items[0].meter_id
    used = sdk.events.get_usage_by_meter(meter_id=meter, start_time=START, window_size="DAY")
    assert used.value == sum(Decimal(str(one.value)) for one in used.results or [])
