"""Rows of holds: what is reserved before a call, until it is settled, voided or expired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tokenmeter.engine.errors import AlreadyExistsError, NotFoundError
from tokenmeter.engine.store.events import stored_copies
from tokenmeter.engine.store.ledger import made_of, of_wallet, to_row
from tokenmeter.engine.store.ledger_schema import holds

HELD, SETTLED, VOIDED, EXPIRED = "held", "settled", "voided", "expired"


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold; amounts are money in the wallet's currency."""

    id: str
    wallet_id: str
    amount: Decimal
    state: str
    expires_us: int
    created_us: int
    settled_amount: Decimal | None = None
    reference: str | None = None
    closed_us: int | None = None
    steps: str | None = None


@dataclass(frozen=True, slots=True)
class SettledRow:
    """What a call has cost, whose event may not have arrived."""

    reference: str | None
    amount: Decimal
    steps: str | None


class Holds:
    """The holds of one environment, within the transaction of one connection."""

    def __init__(self, connection: Connection, environment: str) -> None:
        self._connection = connection
        self._environment = environment

    def add(self, hold: HoldRow) -> None:
        """Keep a new hold; AlreadyExistsError if its id is taken, be it just now by another."""
        row = {"environment": self._environment, **to_row(hold)}
        try:
            self._connection.execute(insert(holds), row)
        except IntegrityError:
            raise AlreadyExistsError(f"There is a hold {hold.id!r} already.") from None

    def exists(self, hold_id: str) -> bool:
        """Say whether an id is taken, in whatever environment."""
        return self._connection.execute(_TAKEN, {"of_hold": hold_id}).first() is not None

    def get(self, hold_id: str) -> HoldRow:
        """Return a hold; NotFoundError if there is none of this id here."""
        place = {"in_environment": self._environment, "of_hold": hold_id}
        row = self._connection.execute(_ONE, place).first()
        if row is None:
            raise NotFoundError(f"There is no hold {hold_id!r}.")
        return made_of(HoldRow, row)

    def close(self, hold: HoldRow) -> None:
        """Write how a hold ended."""
        row = to_row(hold)
        changed = {f"new_{name}": row[name] for name in _CHANGING}
        self._connection.execute(_CLOSE, {"of_hold": hold.id} | changed)

    def rename(self, hold_id: str, reference: str) -> None:
        """Have an open hold known by another reference."""
        place = {"in_environment": self._environment, "of_hold": hold_id}
        self._connection.execute(_RENAME, {**place, "as_of_now": reference})

    def due(self, wallet_id: str, now_us: int) -> list[HoldRow]:
        """Return the open holds of a wallet whose time is over."""
        rows = self._connection.execute(_DUE, self._place(wallet_id) | {"by": now_us})
        return [made_of(HoldRow, row) for row in rows]

    def waiting(self, wallet_id: str, reference: str) -> list[HoldRow]:
        """Return the open holds of a wallet under a reference, the oldest first."""
        rows = self._connection.execute(_WAITING, self._place(wallet_id) | {"under": reference})
        return [made_of(HoldRow, row) for row in rows]

    def settled_since(self, wallet_id: str, since_us: int) -> list[SettledRow]:
        """Return what was settled from a moment on."""
        rows = self._connection.execute(_SETTLED, self._place(wallet_id) | {"since": since_us})
        return [SettledRow(reference, Decimal(amount), steps) for reference, amount, steps in rows]

    def steps(self, wallet_id: str) -> list[str]:
        """Return what the open holds of a wallet say of what their calls are about to use."""
        return [text for (text,) in self._connection.execute(_STEPS, self._place(wallet_id))]

    def last_closed(self, wallet_id: str) -> int:
        """Return when a hold of a wallet was closed last: they are closed one after another."""
        found: int | None = self._connection.execute(_LAST, self._place(wallet_id)).scalar()
        return found or 0

    def arrived(self, references: Sequence[str]) -> frozenset[str]:
        """Say which of these are ids of events that are stored."""
        return frozenset(stored_copies(self._connection, self._environment, references))

    def _place(self, wallet_id: str) -> dict[str, Any]:
        return {"in_environment": self._environment, "of_wallet": wallet_id}


_CHANGING = ("state", "settled_amount", "reference", "closed_us", "steps")
_ALL = of_wallet(holds, HoldRow)
_ONE = select(*_ALL.selected_columns).where(
    holds.c.environment == bindparam("in_environment"), holds.c.id == bindparam("of_hold")
)
_TAKEN = select(holds.c.id).where(holds.c.id == bindparam("of_hold"))
_RENAME = (
    update(holds)
    .where(
        holds.c.environment == bindparam("in_environment"),
        holds.c.id == bindparam("of_hold"),
        holds.c.state == HELD,
    )
    .values(reference=bindparam("as_of_now"))
)
_DUE = _ALL.where(holds.c.state == HELD, holds.c.expires_us <= bindparam("by"))
_WAITING = _ALL.where(holds.c.state == HELD, holds.c.reference == bindparam("under")).order_by(
    holds.c.created_us, holds.c.id
)
_SETTLED = _ALL.with_only_columns(holds.c.reference, holds.c.settled_amount, holds.c.steps).where(
    holds.c.closed_us >= bindparam("since"), holds.c.state == SETTLED
)
_STEPS = _ALL.with_only_columns(holds.c.steps).where(
    holds.c.state == HELD, holds.c.steps.is_not(None)
)
_LAST = select(func.max(holds.c.closed_us)).where(
    holds.c.environment == bindparam("in_environment"),
    holds.c.wallet_id == bindparam("of_wallet"),
)
_CLOSE = (
    update(holds)
    .where(holds.c.id == bindparam("of_hold"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
