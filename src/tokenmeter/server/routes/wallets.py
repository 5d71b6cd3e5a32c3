"""Wallets: credits in, balance, ledger."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.engine.definitions.search import search_of
from tokenmeter.engine.errors import ValidationError
from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering, Reading
from tokenmeter.server.paging import SEARCH, ListQuery, listed
from tokenmeter.server.wire import Fields, OptionalFields, Reply, body_schema

router = APIRouter(tags=["wallets"])

NAMES = {"wallet_ids": "id", "customer_id": "customer_id", "currency": "currency"}
POSTING_NAMES = {
    "id": "id",
    "wallet_id": "wallet_id",
    "wallet_ids": "wallet_id",
    "type": "type",
    "transaction_status": "transaction_status",
    "transaction_reason": "transaction_reason",
    "reference_type": "reference_type",
    "reference_id": "reference_id",
}


@router.post("/wallets", openapi_extra=body_schema(schemas.WALLET))
def create_wallet(fields: Fields, desk: Administering) -> Reply:
    """Open a wallet: one active for each customer, currency and type."""
    return Reply(desk.services.wallets.create(fields))


@router.get("/wallets")
def list_wallets(asked: ListQuery, desk: Reading) -> Reply:
    """List wallets with their balances."""
    search = asked.search(NAMES)
    return listed(desk.services.lists.wallets(search), search)


@router.post("/wallets/search", openapi_extra=body_schema(SEARCH, required=False))
def search_wallets(fields: OptionalFields, desk: Reading) -> Reply:
    """Search wallets."""
    search = search_of(fields, NAMES)
    return listed(desk.services.lists.wallets(search), search, searched=True)


@router.post("/wallets/transactions/search", openapi_extra=body_schema(SEARCH, required=False))
def search_transactions(fields: OptionalFields, desk: Reading) -> Reply:
    """Search the transactions of every wallet."""
    search = search_of(fields, POSTING_NAMES)
    return listed(desk.services.lists.transactions(search), search, searched=True)


@router.get("/wallets/{id}")
def get_wallet(id: str, desk: Reading) -> Reply:  # noqa: A002 - the name in the path
    """Return one wallet."""
    return Reply(desk.services.wallets.get(id))


@router.put("/wallets/{id}", openapi_extra=body_schema(schemas.fields()))
def update_wallet(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Change a wallet's name, metadata, alerts or automatic top-up."""
    return Reply(desk.services.wallets.update(id, fields))


@router.post("/wallets/{id}/top-up", openapi_extra=body_schema(schemas.TOP_UP))
def top_up_wallet(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Add credits; the same `idempotency_key` adds them once."""
    return Reply(desk.services.wallets.top_up(id, fields))


@router.post("/wallets/{id}/debit", openapi_extra=body_schema(schemas.fields()))
def debit_wallet(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Take credits by hand; the balance may go below 0."""
    return Reply(desk.services.wallets.debit(id, fields))


@router.get("/wallets/{id}/balance/real-time")
def get_wallet_balance(id: str, desk: Reading) -> Reply:  # noqa: A002
    """Return a wallet and what is left of it once all that is owed is taken off."""
    return Reply(desk.services.wallets.balance(id))


@router.get("/wallets/{id}/transactions")
def get_wallet_transactions(id: str, asked: ListQuery, desk: Reading) -> Reply:  # noqa: A002
    """List the ledger of a wallet, the newest first."""
    search = asked.search({})
    page = desk.services.wallets.transactions(id, limit=search.limit, offset=search.offset)
    return Reply(page)


@router.post("/wallets/{id}/terminate")
def terminate_wallet(id: str, desk: Administering) -> Reply:  # noqa: A002
    """Close a wallet; the credits that are left are lost."""
    return Reply(desk.services.wallets.terminate(id))


@router.get("/customers/wallets")
def get_customer_wallets(
    desk: Reading,
    *,
    id: str = "",  # noqa: A002 - the name in the query
    lookup_key: str = "",
    include_real_time_balance: bool = False,
) -> Reply:
    """List the wallets of a customer named by either id."""
    if not id and not lookup_key:
        raise ValidationError("id or lookup_key is required.")
    found = desk.definitions
    customer = found.get("customer", id) if id else found.by_key("customer", lookup_key)
    wallets = desk.services.wallets
    return Reply(wallets.of_customer(customer["id"], real_time=include_real_time_balance))


@router.get("/customers/{id}/wallets")
def get_wallets_by_customer_id(id: str, desk: Reading) -> Reply:  # noqa: A002
    """List the wallets of a customer."""
    desk.definitions.get("customer", id)
    return Reply(desk.services.wallets.of_customer(id))
