"""From a row's input to the engine: wallets with their ledger, the size of a batch."""

from __future__ import annotations

import json

from tests.engine.sold import NOW, customer, opened
from tests.rating.vectors import Adapter, Input, decimal
from tokenmeter.engine.wallets import Wallets
from tokenmeter.rating.rounding import plus
from tokenmeter.server.incoming import events_of

FREE = "FREE_CREDIT_GRANT"


def _create_wallet(given: Input) -> dict[str, object]:
    store, wallets, _ = opened("sqlite:///:memory:")
    customer(store, "_customer")
    fields = {
        "customer_id": given.get("CustomerID"),
        "external_customer_id": given.get("ExternalCustomerID"),
        "currency": given.get("Currency"),
        "wallet_type": given.get("WalletType"),
        "conversion_rate": given.get("ConversionRate"),
    }
    made = wallets.create({k: v for k, v in fields.items() if v})
    store.close()
    return {"error": False, "id": made["id"]}


def _transaction(given: Input) -> dict[str, object]:
    store, wallets, _ = opened("sqlite:///:memory:")
    customer(store)
    wallet = wallets.create(
        {
            "external_customer_id": "acme",
            "currency": "usd",
            "conversion_rate": given["conversion_rate"],
            "initial_credits_to_load": given["initial_credit_balance"],
        }
    )["id"]
    for step in (given.get("setup_operation"), given["operation"]):
        if step:
            _posted(wallets, wallet, step)
    told = wallets.get(wallet)
    items = wallets.transactions(wallet)["items"]
    used = plus(decimal(t["credit_amount"]) for t in items if t["type"] == "debit")
    store.close()
    return {"credit": told["credit_balance"], "actual": told["balance"], "usedAmt": used}


def _posted(wallets: Wallets, wallet: str, step: Input) -> None:
    amount = step["creditAmount"]
    if step["txType"] == "credit":
        wallets.top_up(wallet, {"credits_to_add": amount, "transaction_reason": FREE})
    else:
        wallets.debit(wallet, {"credits": amount}, overdraw=False)


def _bulk(given: Input) -> dict[str, object]:
    event = {"event_name": "api_calls", "external_customer_id": "acme"}
    body = {"events": [event] * int(given["n_events"])}
    return {"error": False, "events": len(events_of(json.dumps(body).encode(), NOW))}


ADAPTERS: dict[str, Adapter] = {
    "validation.create_wallet": _create_wallet,
    "wallet.transaction": _transaction,
    "validation.bulk_events": _bulk,
}
