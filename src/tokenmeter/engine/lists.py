"""Lists of invoices, wallets and their ledgers: pages that the database chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tokenmeter.engine.definitions.pages import Listed, page_in
from tokenmeter.engine.definitions.registry import Body
from tokenmeter.engine.definitions.search import Equal, Listing, Search, page_of
from tokenmeter.engine.invoice_parts import told_invoice
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.invoices import INVOICE_NAMES, InvoiceRow, Invoices
from tokenmeter.engine.store.ledger import TRANSACTION_NAMES, Ledger, Transaction
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallet import transaction_body, wallet_of
from tokenmeter.engine.wallet_rows import WALLET
from tokenmeter.engine.wallets import Wallets

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

ROWS_PER_READ = 1_000
Item = TypeVar("Item")
Read = Callable[[int, int], tuple[Sequence[Item], int]]  # limit, offset -> a page, the total

_WALLETS = Listed(
    WALLET,
    frozenset({"id", "customer_id", "currency", "wallet_type", "wallet_status"}),
    parent="customer_id",
)


class Lists:
    """What one environment has of what changes as money moves."""

    def __init__(self, store: Store, environment: str, wallets: Wallets) -> None:
        self._store = store
        self._environment = environment
        self._wallets = wallets

    def wallets(self, wanted: Search) -> Listing:
        """Return a page of wallets with their balances."""
        equal, rest = wanted.split(_WALLETS.names)
        if not rest.is_plain:
            with self._store.reading() as connection:
                documents = Documents(connection, self._environment)
                held = documents.all(WALLET, status=wanted.status, equal=equal)
            return page_of((self._wallets.get(d.id) for d in held), rest)
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            page = page_in(documents, _WALLETS, wanted, lambda d: {"id": d.id})
        return Listing(tuple(self._wallets.get(str(i["id"])) for i in page.items), page.total)

    def transactions(self, wanted: Search) -> Listing:
        """Return a page of the ledger lines of all wallets."""
        with self._store.reading() as connection:
            ledger = Ledger(connection, self._environment)
            documents = Documents(connection, self._environment)

            def read(equal: Equal, newest_first: bool) -> Read[Transaction]:  # noqa: FBT001
                return lambda limit, offset: ledger.search(
                    equal, limit=limit, offset=offset, newest_first=newest_first
                )

            return _page(wanted, TRANSACTION_NAMES, read, lambda t: _lines(documents, t))

    def invoices(self, wanted: Search) -> Listing:
        """Return a page of invoices with their present state."""
        with self._store.reading() as connection:
            invoices = Invoices(connection, self._environment)

            def read(equal: Equal, newest_first: bool) -> Read[InvoiceRow]:  # noqa: FBT001
                return lambda limit, offset: invoices.search(
                    equal, limit=limit, offset=offset, newest_first=newest_first
                )

            return _page(wanted, INVOICE_NAMES, read, lambda r: self._bills(connection, r))

    def _bills(self, connection: Connection, found: Iterable[InvoiceRow]) -> list[Body]:
        documents = Documents(connection, self._environment)
        return [told_invoice(documents, row) for row in found]


def _page(
    wanted: Search,
    names: frozenset[str],
    read: Callable[[Equal, bool], Read[Item]],
    show: Callable[[Iterable[Item]], list[Body]],
) -> Listing:
    """Read a page; where the database cannot choose, read all and choose here."""
    equal, rest = wanted.split(names)
    source = read(equal, wanted.order == "desc")
    if not rest.conditions and rest.sort == "created_at":
        found, total = source(wanted.limit, wanted.offset)
        return Listing(tuple(show(found)), total)
    bodies: list[Body] = []
    while some := source(ROWS_PER_READ, len(bodies))[0]:
        bodies += show(some)
    return page_of(bodies, rest)


def _lines(documents: Documents, found: Iterable[Transaction]) -> list[Body]:
    wallets: dict[str, Any] = {}
    for line in found:
        if line.wallet_id not in wallets:
            wallets[line.wallet_id] = wallet_of(documents.get(WALLET, line.wallet_id))
    return [transaction_body(line, wallets[line.wallet_id]) for line in found]
