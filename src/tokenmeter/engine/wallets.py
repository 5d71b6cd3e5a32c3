"""Wallets: prepaid credits, their ledger, real-time balance, alerts and holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tokenmeter.engine.account import CREDIT, DEBIT, Account, Why
from tokenmeter.engine.alerts import Alerts
from tokenmeter.engine.charge_of import ChargeOf
from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.snapshots import OwedOf
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.unsold import TOP_UP, refuse_unsold
from tokenmeter.engine.wallet import CLOSED, Wallet, body_of, transaction_body, wallet_of
from tokenmeter.engine.wallet_holds import WalletHolds, nothing_owed
from tokenmeter.engine.wallet_posts import (
    active,
    credits_in,
    posted,
    reason_in,
    repeated,
    why_bonus,
    why_loaded,
    why_of,
)
from tokenmeter.engine.wallet_rows import WALLET, new_wallet, write
from tokenmeter.engine.wallet_watch import real_time_body, watched
from tokenmeter.rating.define import Fields, number_in, text_in

TRANSACTIONS_LIMIT = 50
MANUAL = "MANUAL_BALANCE_DEBIT"
EDITABLE = frozenset({"name", "description", "metadata", "alert_settings", "auto_topup", "config"})


class Wallets(WalletHolds):
    """
    The wallets of one environment.

    Methods with `fields` take and return Flexprice's bodies. Money = credits x conversion_rate.
    """

    def __init__(
        self,
        store: Store,
        environment: str = "",
        *,
        owed: OwedOf = nothing_owed,
        rates: ChargeOf | None = None,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(store, environment, owed=owed, rates=rates, clock=clock)
        self.alerts: Alerts = Alerts()

    def create(self, fields: Fields) -> dict[str, Any]:
        """Open a wallet; a customer has one active wallet per currency and type."""
        now = self._clock()
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            wallet = wallet_of(documents.insert(new_wallet(documents, fields, now)))
            ledger = Ledger(connection, self._environment)
            ledger.open(wallet.id)
            account = Account(ledger, wallet, now)
            loaded = number_in(fields, "initial_credits_to_load")
            if loaded:
                account.credit(loaded, why_loaded(fields))
            return body_of(wallet, account.balance.credit_balance)

    def get(self, wallet_id: str) -> dict[str, Any]:
        """Return a wallet with its balance."""
        return self._on(wallet_id, lambda account, w: body_of(w, account.balance.credit_balance))

    def update(self, wallet_id: str, fields: Fields) -> dict[str, Any]:
        """Change a wallet's name, metadata, alerts, automatic top-up or price types."""
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            held = documents.get(WALLET, wallet_id)
            changed = {k: v for k, v in fields.items() if k in EDITABLE}
            wallet_of(write(documents, held, changed, self._clock()))
        self._known.clear()
        return self.get(wallet_id)

    def terminate(self, wallet_id: str) -> dict[str, Any]:
        """Close a wallet; the credits that are left are lost."""
        now = self._clock()
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            wallet = active(wallet_of(documents.get(WALLET, wallet_id)))
            account = Account(Ledger(connection, self._environment), wallet, now)
            if account.usable:
                account.debit(account.usable, Why("WALLET_TERMINATION"))
            freed = replace(wallet.document, lookup_key=None, status="archived")
            write(documents, freed, {"wallet_status": CLOSED}, now)
        self._known.clear()
        return self.get(wallet_id)

    def of_customer(self, customer: str, *, real_time: bool = False) -> list[dict[str, Any]]:
        """Return a customer's active wallets, by the id of either side."""
        return [(self.balance if real_time else self.get)(w.id) for w in self._active(customer)]

    def top_up(self, wallet_id: str, fields: Fields) -> dict[str, Any]:
        """
        Add credits; a repeated `idempotency_key` gives the first top-up again.

        Returns {"wallet_transaction", "wallet"}.
        """
        refuse_unsold(fields, TOP_UP)
        reason = reason_in(fields)
        key = text_in(fields, "idempotency_key") or None
        why = why_of(fields, reason, key, self._clock())
        free = why_bonus(fields, why, self._clock())
        bonus = number_in(fields, "bonus_credits_to_add")

        def add(account: Account, wallet: Wallet, ledger: Ledger) -> dict[str, Any]:
            made = repeated(ledger, wallet, key, CREDIT)
            if made is None:
                made = account.credit(credits_in(fields, active(wallet).topup_rate), why)
                if bonus:
                    account.credit(bonus, free)
            return posted(made, wallet, account)

        done = self._post(wallet_id, add)
        self.watch(wallet_id)
        return done

    def debit(self, wallet_id: str, fields: Fields, *, overdraw: bool = True) -> dict[str, Any]:
        """Take credits by hand; the balance may go below 0, unless that is forbidden."""
        key = text_in(fields, "idempotency_key") or None
        why = Why(MANUAL, idempotency_key=key)

        def take(account: Account, wallet: Wallet, ledger: Ledger) -> dict[str, Any]:
            made = repeated(ledger, wallet, key, DEBIT)
            made = made or account.debit(
                credits_in(fields, active(wallet).rate), why, overdraw=overdraw
            )
            return posted(made, wallet, account)

        done = self._post(wallet_id, take)
        self.watch(wallet_id)
        return done

    def transactions(
        self, wallet_id: str, *, limit: int = TRANSACTIONS_LIMIT, offset: int = 0
    ) -> dict[str, Any]:
        """Return a page of the ledger, the newest first, as Flexprice's list."""
        with self._store.reading() as connection:
            wallet = wallet_of(Documents(connection, self._environment).get(WALLET, wallet_id))
            ledger = Ledger(connection, self._environment)
            found, total = ledger.transactions(wallet_id, limit=limit, offset=offset)
        page = {"total": total, "limit": limit, "offset": offset}
        return {"items": [transaction_body(t, wallet) for t in found], "pagination": page}

    def balance(self, wallet_id: str) -> dict[str, Any]:
        """Return a wallet with its real-time balance: what is left after all that is owed."""
        now = self._clock()
        wallet = self._read(wallet_id)
        owed = self._owed(wallet, now)
        return self._on(wallet_id, lambda account, w: real_time_body(account, w, owed, now))

    def watch(self, wallet_id: str) -> str:
        """Top up or alert if the real-time balance says so, once; return the alert state."""
        wallet = self._read(wallet_id)
        if not wallet.is_active or not (wallet.thresholds or wallet.auto):
            return wallet.alert_state
        now = self._clock()
        owed = self._owed(wallet, now)
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            account = Account(Ledger(connection, self._environment), wallet, now)
            # Locked: whoever was first has written what is new.
            wallet = wallet_of(documents.get(WALLET, wallet_id))
            seen = watched(account, wallet, owed, now)
            if seen.changes:
                write(documents, wallet.document, seen.changes, now)
        self._known.clear()
        for alert in seen.alerts:
            self.alerts.send(alert)
        return seen.state

    def close(self) -> None:
        """Pass on the alerts that wait."""
        self.alerts.close()

    def _read(self, wallet_id: str) -> Wallet:
        with self._store.reading() as connection:
            return wallet_of(Documents(connection, self._environment).get(WALLET, wallet_id))

    def _on(
        self, wallet_id: str, use: Callable[[Account, Wallet], dict[str, Any]]
    ) -> dict[str, Any]:
        return self._post(wallet_id, lambda account, wallet, _ledger: use(account, wallet))

    def _post(
        self, wallet_id: str, use: Callable[[Account, Wallet, Ledger], dict[str, Any]]
    ) -> dict[str, Any]:
        """Use a wallet's account under its lock."""
        with self._store.writing() as connection:
            wallet = wallet_of(Documents(connection, self._environment).get(WALLET, wallet_id))
            ledger = Ledger(connection, self._environment)
            return use(Account(ledger, wallet, self._clock()), wallet, ledger)
