"""Wallets as documents: made, found, changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.definitions.customers import customer_of
from tokenmeter.engine.definitions.registry import Registry
from tokenmeter.engine.errors import AlreadyExistsError, ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.engine.wallet import Wallet, defaults, wallet_of
from tokenmeter.rating.define import Fields, mapping_in, text_in
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.price import CURRENCY_CHARS

WALLET = "wallet"
GIVEN = frozenset(
    {
        *("name", "description", "metadata", "alert_settings", "auto_topup", "config"),
        *("currency", "wallet_type", "conversion_rate", "topup_conversion_rate", "price_unit"),
    }
)


def new_wallet(documents: Documents, fields: Fields, now: datetime) -> Document:
    """Check what a request says of a new wallet and make its document."""
    customer = customer_of(Registry(documents, now), fields)
    given = {k: v for k, v in fields.items() if k in GIVEN and v is not None}
    given |= _unit(documents, given)
    filled = {**defaults(given), **given}
    currency = _currency(filled)
    if given.get("topup_conversion_rate") is None:
        filled["topup_conversion_rate"] = filled["conversion_rate"]
    key = f"{customer.id}/{currency}/{filled['wallet_type']}"
    if documents.by_lookup_key(WALLET, key) is not None:
        raise AlreadyExistsError(
            "The customer has an active wallet of this currency and type already."
        )
    body: dict[str, Any] = {
        "id": new_id(WALLET),
        **filled,
        **{n: str(filled[n]) for n in ("conversion_rate", "topup_conversion_rate")},
        "customer_id": customer.id,
        "currency": currency,
        "status": "published",
        "environment_id": documents.environment,
        "created_at": rfc3339(now),
        "updated_at": rfc3339(now),
    }
    return Document(
        WALLET,
        body["id"],
        body,
        lookup_key=key,
        parent=customer.id,
        created_us=microseconds(now),
        updated_us=microseconds(now),
    )


def _currency(fields: Fields) -> str:
    currency = text_in(fields, "currency").lower()
    if len(currency) != CURRENCY_CHARS or not currency.isalpha():
        raise RatingError("A currency has three letters.", field="currency")
    return currency


def wallets_of(documents: Documents, customer: str) -> list[Wallet]:
    """Find a customer's active wallets, by the id of either side."""
    found = documents.find("customer", customer) or documents.by_lookup_key("customer", customer)
    if found is None:
        return []
    listed = documents.all(WALLET, parent=found.id)
    return [w for w in map(wallet_of, listed) if w.is_active]


def write(
    documents: Documents, held: Document, changes: Mapping[str, Any], now: datetime
) -> Document:
    """Change some fields of a document."""
    body = {**held.body, **changes, "updated_at": rfc3339(now)}
    return documents.replace(replace(held, body=body, updated_us=microseconds(now)))


def _unit(documents: Documents, given: Fields) -> dict[str, Any]:
    """A price unit gives the wallet its currency and its rate."""
    code = text_in(given, "price_unit")
    if not code:
        return {}
    units = documents.all("price_unit")
    found = next((u for u in units if text_in(u.body, "code").lower() == code.lower()), None)
    if found is None:
        raise ValidationError(f"There is no price unit {code!r}.")
    rate = text_in(found.body, "conversion_rate")
    config = mapping_in(given, "config")
    return {
        "currency": text_in(found.body, "base_currency"),
        "conversion_rate": rate,
        **({"config": config} if config else {}),
    }
