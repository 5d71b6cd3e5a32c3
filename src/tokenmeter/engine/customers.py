"""Find a customer by the id that is ours or by the one that is the application's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenmeter.engine.errors import NotFoundError, ValidationError
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.rating.define import text_in

CUSTOMER = "customer"


def customer_in(documents: Documents, fields: Mapping[str, Any]) -> Document:
    """Find the customer whom a request names by `customer_id` or `external_customer_id`."""
    own, external = text_in(fields, "customer_id"), text_in(fields, "external_customer_id")
    if not own and not external:
        raise ValidationError("A customer_id or external_customer_id is required.")
    found = documents.find(CUSTOMER, own) if own else documents.by_lookup_key(CUSTOMER, external)
    if found is None or found.status != "published":
        name = own or external
        raise NotFoundError(f"Invalid customer id: there is no customer {name!r} here.")
    return found


def external_id(customer: Document) -> str:
    """Return the id under which the customer's events come."""
    return text_in(customer.body, "external_id")
