"""Rows of the ledger: balances, credits and transactions of wallets. Decimals are text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)

from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.store.conditions import chosen
from tokenmeter.engine.store.ledger_schema import (
    wallet_balances,
    wallet_credits,
    wallet_transactions,
)
from tokenmeter.rating.rounding import ZERO, plain

Made = TypeVar("Made")
# The fields of a transaction that are columns here, by Flexprice's names.
_NAMED: Mapping[str, ColumnElement[Any]] = {
    **{n: wallet_transactions.c[n] for n in ("id", "wallet_id", "type")},
    **{n: wallet_transactions.c[n] for n in ("reference_type", "reference_id")},
    "transaction_status": wallet_transactions.c.status,
    "transaction_reason": wallet_transactions.c.reason,
}
TRANSACTION_NAMES = frozenset(_NAMED)


@dataclass(frozen=True, slots=True)
class Balance:
    """What a wallet has: credits, and money that is held. Whoever reads it has locked it."""

    wallet_id: str
    credit_balance: Decimal = ZERO
    held: Decimal = ZERO
    version: int = 1


@dataclass(frozen=True, slots=True)
class CreditRow:
    """One grant or top-up, and what is left of it."""

    id: str
    wallet_id: str
    amount: Decimal
    remaining: Decimal
    reason: str
    created_us: int
    priority: int | None = None
    expires_us: int | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """One line of the ledger; it begins with the balance that the line before it left."""

    id: str
    wallet_id: str
    type: str  # credit | debit
    amount: Decimal  # money
    credit_amount: Decimal
    balance_before: Decimal  # credits
    balance_after: Decimal
    reason: str
    created_us: int
    status: str = "completed"
    reference_type: str | None = None
    reference_id: str | None = None
    idempotency_key: str | None = None
    expires_us: int | None = None
    priority: int | None = None
    body: str = "{}"


class Ledger:
    """The ledger of one environment, within the transaction of one connection."""

    def __init__(self, connection: Connection, environment: str) -> None:
        self._connection = connection
        self._environment = environment

    def open(self, wallet_id: str) -> Balance:
        """Begin a wallet with nothing in it."""
        balance = Balance(wallet_id)
        self._insert(wallet_balances, balance)
        return balance

    def lock(self, wallet_id: str) -> Balance:
        """Read a balance and keep others from changing it until the transaction ends."""
        row = self._connection.execute(_LOCK, self._place(wallet_id)).first()
        if row is None:
            raise NotFoundError(f"There is no wallet {wallet_id!r}.")
        return made_of(Balance, row)

    def save(self, balance: Balance) -> None:
        """Write a balance that was locked."""
        row = to_row(balance) | {"version": balance.version + 1}
        changed = {f"new_{name}": row[name] for name in _CHANGING}
        self._connection.execute(_SAVE, self._place(balance.wallet_id) | changed)

    def usable(self, wallet_id: str) -> list[CreditRow]:
        """Return the credits of which something is left, or less than nothing."""
        rows = self._connection.execute(_USABLE, self._place(wallet_id))
        return [made_of(CreditRow, row) for row in rows]

    def add_credit(self, credit: CreditRow) -> None:
        """Keep a new credit."""
        self._insert(wallet_credits, credit)

    def set_remaining(self, credit_id: str, remaining: Decimal) -> None:
        """Write what is left of a credit."""
        change = update(wallet_credits).where(wallet_credits.c.id == credit_id)
        self._connection.execute(change.values(remaining=plain(remaining)))

    def add_transaction(self, transaction: Transaction) -> None:
        """Write a line of the ledger."""
        self._insert(wallet_transactions, transaction)

    def repeated(self, wallet_id: str, idempotency_key: str) -> Transaction | None:
        """Find the transaction that an idempotency key has made."""
        query = _TRANSACTIONS.where(wallet_transactions.c.idempotency_key == idempotency_key)
        row = self._connection.execute(query, self._place(wallet_id)).first()
        return None if row is None else made_of(Transaction, row)

    def transactions(
        self, wallet_id: str, *, limit: int, offset: int = 0, newest_first: bool = True
    ) -> tuple[list[Transaction], int]:
        """Return a page of a wallet's transactions, and how many there are."""
        ids, place = wallet_transactions.c.id, self._place(wallet_id)
        total = select(func.count()).select_from(_TRANSACTIONS.subquery())
        query = _TRANSACTIONS.order_by(ids.desc() if newest_first else ids)
        rows = self._connection.execute(query.limit(limit).offset(offset), place)
        found = [made_of(Transaction, row) for row in rows]
        return found, self._connection.execute(total, place).scalar_one()

    def search(
        self,
        equal: Mapping[str, Sequence[str]],
        *,
        limit: int,
        offset: int,
        newest_first: bool,
    ) -> tuple[list[Transaction], int]:
        """Return a page of all wallets' transactions whose fields have one of the values."""
        columns = [wallet_transactions.c[f.name] for f in fields(Transaction)]
        query = select(*columns).where(
            wallet_transactions.c.environment == self._environment, *chosen(_NAMED, equal)
        )
        total = self._connection.execute(select(func.count()).select_from(query.subquery()))
        order = (wallet_transactions.c.created_us, wallet_transactions.c.id)
        query = query.order_by(*(c.desc() if newest_first else c for c in order))
        rows = self._connection.execute(query.limit(limit).offset(offset))
        return [made_of(Transaction, row) for row in rows], total.scalar_one()

    def _place(self, wallet_id: str) -> dict[str, Any]:
        return {"in_environment": self._environment, "of_wallet": wallet_id}

    def _insert(self, table: Table, value: Any) -> None:
        row = {"environment": self._environment, **to_row(value)}
        self._connection.execute(insert(table), row)


def to_row(value: Any) -> dict[str, Any]:
    """Write a value as a row: decimals in their one shortest form."""
    found = ((name, getattr(value, name)) for name in value.__slots__)
    return {k: plain(v) if isinstance(v, Decimal) else v for k, v in found}


def made_of(kind: type[Made], row: Row[Any]) -> Made:
    """Build a value from a row of `of_wallet`: text becomes decimal where the value has one."""
    typed = zip(row, _typed(cast(Any, kind)), strict=True)
    return kind(*(Decimal(v) if d and v is not None else v for v, d in typed))


def of_wallet(table: Table, kind: type[object]) -> Select[Any]:
    """Ask for one wallet's rows of a table, as `kind` holds them: the statement, made once."""
    columns = [table.c[f.name] for f in fields(cast(Any, kind))]
    return select(*columns).where(
        table.c.environment == bindparam("in_environment"),
        table.c.wallet_id == bindparam("of_wallet"),
    )


@cache
def _typed(kind: type[object]) -> tuple[bool, ...]:
    return tuple("Decimal" in str(f.type) for f in fields(cast(Any, kind)))


# Statements of a hold's path are made once: building them costs more than running them.
_CHANGING = ("credit_balance", "held", "version")
_LOCK = of_wallet(wallet_balances, Balance).with_for_update()
_SAVE = (
    update(wallet_balances)
    .where(
        wallet_balances.c.environment == bindparam("in_environment"),
        wallet_balances.c.wallet_id == bindparam("of_wallet"),
    )
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_USABLE = of_wallet(wallet_credits, CreditRow).where(wallet_credits.c.remaining != "0")
_TRANSACTIONS = of_wallet(wallet_transactions, Transaction)
