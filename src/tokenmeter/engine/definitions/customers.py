"""Customers: who is billed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Draft, Kind, Registry
from tokenmeter.engine.errors import InvalidOperationError, NotFoundError, ValidationError
from tokenmeter.engine.rhythm import is_active
from tokenmeter.engine.store.documents import Document
from tokenmeter.rating.windows import known_zone

COUNTRY_CHARS = 2
CURRENCY_CHARS = 3
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_ADDRESS = tuple(
    f"address_{part}" for part in ("line1", "line2", "city", "state", "postal_code", "country")
)
# What a text must be, if it is there.
_RULES: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("email", lambda said: bool(_EMAIL.fullmatch(said)), "email is not an e-mail address."),
    (
        "timezone",
        lambda said: known_zone(said) is not None,
        "timezone is not the name of an IANA time zone.",
    ),
    (
        "address_country",
        lambda said: len(said) == COUNTRY_CHARS and said.isalpha(),
        "address_country has two letters (ISO 3166-1).",
    ),
    (
        "billing_currency",
        lambda said: len(said) == CURRENCY_CHARS and said.isalpha(),
        "billing_currency has three letters.",
    ),
)
_TEXTS = ("email", "contact", "timezone", "billing_currency", "tax_treatment", *_ADDRESS)


def customer_of(registry: Registry, fields: Fields) -> Document:
    """Find the customer a request names: by `customer_id`, or by `external_customer_id`."""
    own, external = reading.key(fields, "customer_id"), reading.key(fields, "external_customer_id")
    if own is None and external is None:
        raise ValidationError("customer_id or external_customer_id is required.")
    if own is not None:
        found = registry.documents.find("customer", own)
        if found is None or found.status != "published":
            raise NotFoundError(f"invalid customer id: there is no customer {own!r}.")
        return found
    return registry.by_key("customer", external or "")


def check_free(registry: Registry, customer: Document) -> None:
    """Raise InvalidOperationError for a customer that is still billed, or has credits left."""
    held = registry.documents.all("subscription", parent=customer.id)
    if any(is_active(one.body, registry.now) for one in held):
        raise InvalidOperationError(
            "The customer has a subscription; cancel it before deleting the customer."
        )
    wallets = registry.documents.all("wallet", parent=customer.id)
    if any(wallet.body["wallet_status"] == "active" for wallet in wallets):
        raise InvalidOperationError(
            "The customer has an active wallet; terminate it before deleting the customer."
        )


def _make(_registry: Registry, fields: Fields) -> Draft:
    external_id = reading.needed(fields, "external_id")
    name = reading.text(fields, "name", limit=reading.KEY_CHARS_MAX).strip()
    body = {"external_id": external_id, "name": name or external_id, **_details(fields)}
    return Draft(body, external_id)


def _change(registry: Registry, document: Document, fields: Fields) -> Draft:
    body: dict[str, Any] = {**document.body, **_details({**document.body, **fields})}
    for name in ("external_id", "name"):
        if fields.get(name) is not None:
            body[name] = reading.needed(fields, name)
    moved = body["external_id"] != document.body["external_id"]
    if moved and registry.documents.all("subscription", parent=document.id):
        raise InvalidOperationError(
            "external_id: events are billed by it, and the customer has a subscription; make "
            "another customer for another id."
        )
    return Draft(body, body["external_id"])


def _details(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {name: reading.text(fields, name) for name in _TEXTS}
    for name, is_right, sentence in _RULES:
        if found[name] and not is_right(found[name]):
            raise ValidationError(sentence)
    kept = {name: value for name, value in found.items() if value}
    return {"email": "", "timezone": "UTC", **kept, "metadata": reading.metadata(fields)}


CUSTOMER = Kind("customer", "cust", _make, _change)
