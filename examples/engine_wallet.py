"""Prepaid credits: a hold before the call, what it cost after it, an alert when little is left."""

from decimal import Decimal

import tokenmeter
from tokenmeter.engine.errors import InsufficientBalanceError

engine = tokenmeter.configure(backend="sqlite:///:memory:").engine  # shop.db keeps it
wallets = engine.wallets
wallets.alerts.listen(lambda alert: print(alert.kind, alert.body["real_time_balance"]))

engine.definitions.create("customer", {"external_id": "acme", "name": "Acme Inc."})
wallet = wallets.create(
    {
        "external_customer_id": "acme",
        "currency": "usd",
        "conversion_rate": "0.01",  # one credit is a cent
        "initial_credits_to_load": "100",
        "alert_settings": {"warning": {"threshold": "0.50"}},
    }
)

hold = wallets.hold("acme", Decimal("0.80"), expires_s=60, reference="call-1")
try:
    wallets.hold("acme", Decimal("0.30"))
except InsufficientBalanceError as refused:
    print(refused)
wallets.settle(hold.id, Decimal("0.12"))
print("available:", wallets.available("acme"), "USD")

wallets.debit(wallet["id"], {"credits": "60"})
wallets.close()  # passes on the alerts that wait
for line in wallets.transactions(wallet["id"])["items"]:
    print(line["type"], line["credit_amount"], line["credit_balance_after"])
