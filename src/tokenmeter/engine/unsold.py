"""What would change what is owed, and is not there: refused by name, never ignored."""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import ValidationError

# What each request may not ask for, by its field; see docs/server.md.
SUBSCRIPTION: Mapping[str, str] = {
    **dict.fromkeys(("addons",), "add-ons"),
    **dict.fromkeys(("coupons", "line_item_coupons", "subscription_coupons"), "coupons"),
    **dict.fromkeys(("tax_rate_overrides", "tax_overrides"), "taxes"),
    **dict.fromkeys(("trial_period_days", "trial_start", "trial_end"), "trials"),
    **dict.fromkeys(("commitment_windowed", "is_window_commitment"), "windowed commitments"),
    **dict.fromkeys(
        ("inheritance", "parent_subscription_id", "invoicing_customer_id", "invoice_billing"),
        "inherited subscriptions",
    ),
    "commitment_time_buckets": "windowed commitments",
    "auto_invoice_threshold": "invoices at a threshold",
    "checkout": "checkouts",
    "fx_rates": "exchange rates",
    "override_entitlements": "entitlements of a subscription's own within its request",
    "phases": "phases",
}
INVOICE: Mapping[str, str] = {
    **dict.fromkeys(("coupons", "invoice_coupons", "line_item_coupons"), "coupons"),
    **dict.fromkeys(("tax_rates", "tax_rate_overrides"), "taxes"),
    "checkout": "checkouts",
    "line_items": "invoices but those of subscriptions, whose lines are rated",
}
TOP_UP: Mapping[str, str] = {
    "checkout": "checkouts",
    "coupons": "coupons",
    "effective_date": "credits for later",
}
_RATED = ("amount_due", "amount_paid", "subtotal", "total", "total_prepaid_applied")
_ONLY = {
    "invoice_type": "SUBSCRIPTION",
    "invoice_status": "DRAFT",
    "payment_status": "PENDING",
}


def refuse_unsold(fields: Fields, unsold: Mapping[str, str] = SUBSCRIPTION) -> None:
    """Refuse a request for what is not there; empty and 0 ask for nothing."""
    for name, sold in unsold.items():
        if fields.get(name) not in (None, False, 0, "", "0", [], {}):
            raise ValidationError(f"{name}: there are no {sold} here; leave it out.")


def refuse_own_amounts(fields: Fields) -> None:
    """Refuse an invoice that is to say something else than what a subscription owes."""
    refuse_unsold(fields, INVOICE)
    for name in _RATED:
        if reading.amount(fields, name):
            raise ValidationError(f"{name}: what is owed is rated here; send 0, or leave it out.")
    for name, only in _ONLY.items():
        reading.choice(fields, name, (only,), only)
