"""Credit grants: credits that a plan or a subscription gives to its customer's wallet."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.clock import Clock, rfc3339, system_clock
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.invoice_parts import prepaid
from tokenmeter.engine.rhythm import cycle_of, start_of
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallet_rows import WALLET
from tokenmeter.engine.wallets import Wallets
from tokenmeter.rating.define import Fields, number_in
from tokenmeter.rating.grant import Grant, define_grant
from tokenmeter.rating.periods import Cycle, calendar_anchor
from tokenmeter.rating.proration import prorated_credits, share_used
from tokenmeter.rating.rounding import plain
from tokenmeter.rating.windows import Period

REASON = "SUBSCRIPTION_CREDIT_GRANT"
RATES = ("conversion_rate", "topup_conversion_rate")

_logger = logging.getLogger("tokenmeter.engine")


@dataclass(frozen=True, slots=True)
class Due:
    """One giving of a grant; `key` names it for ever, so that it is given once."""

    key: str
    grant_id: str
    credits: Decimal
    at: datetime
    expires: datetime | None
    priority: int | None
    rates: Mapping[str, Decimal]  # that the wallet must have: conversion_rate, ...


class Grants:
    """Gives what the plans and subscriptions of one environment grant."""

    def __init__(
        self, store: Store, wallets: Wallets, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._wallets = wallets
        self._environment = environment
        self._clock = clock

    def give(self, subscription_id: str) -> list[dict[str, Any]]:
        """
        Give what is due and was not given, and return it; again gives nothing.

        A customer without a prepaid wallet in the currency gets one, at the grant's rate. What
        would have expired by now is not given any more. Credits of another rate than the wallet's
        would be other money: they wait, and the log says so.
        """
        now = self._clock()
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            held = documents.get("subscription", subscription_id)
            due = [d for d in self._due(documents, held, now) if not d.expires or d.expires > now]
            currency = str(held.body["currency"])
            found = prepaid(documents, str(held.parent), currency)
            ledger = Ledger(connection, self._environment)
            # Closed wallets count: what was given to one is not given again to the next.
            had = [w.id for w in documents.all(WALLET, parent=str(held.parent), status=None)]
            due = [d for d in due if not any(ledger.repeated(w, d.key) for w in had)]
        if not due:
            return []
        if found is None:
            asked = {"customer_id": held.parent, "currency": currency, **due[0].rates}
            wallet = self._wallets.create(asked)
        else:
            wallet = self._wallets.get(found.id)
        return [self._given(str(wallet["id"]), one) for one in due if _fits(one, wallet)]

    def upcoming(self, subscription_id: str, until: datetime) -> list[dict[str, Any]]:
        """List what will be given from now up to a moment."""
        now = self._clock()
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            held = documents.get("subscription", subscription_id)
            due = [d for d in self._due(documents, held, until) if d.at > now]
        return [
            {
                "credit_grant_id": one.grant_id,
                "subscription_id": subscription_id,
                "application_status": "pending",
                "credits": plain(one.credits),
                "scheduled_for": rfc3339(one.at),
            }
            for one in due
        ]

    def _given(self, wallet_id: str, due: Due) -> dict[str, Any]:
        asked = {
            "credits_to_add": due.credits,
            "transaction_reason": REASON,
            "idempotency_key": due.key,
            "expiry_date_utc": due.expires,
            "priority": due.priority,
        }
        posted: dict[str, Any] = self._wallets.top_up(wallet_id, asked)["wallet_transaction"]
        return posted

    def _due(self, documents: Documents, held: Document, until: datetime) -> Iterator[Due]:
        parents = (str(held.body["plan_id"]), held.id)
        for parent in parents:
            for document in documents.all("credit_grant", parent=parent):
                yield from _givings(document, held, until)


def _rates(body: Fields) -> dict[str, Decimal]:
    found = {name: number_in(body, name) for name in RATES}
    return {name: rate for name, rate in found.items() if rate is not None}


def _fits(due: Due, wallet: Fields) -> bool:
    """Say whether a credit is worth in this wallet what the grant says."""
    fits = all(number_in(wallet, name) == rate for name, rate in due.rates.items())
    if not fits:
        _logger.error(
            "tokenmeter: credits of %s wait: the customer's wallet has another conversion rate",
            due.grant_id,
        )
    return fits


def _givings(document: Document, held: Document, until: datetime) -> Iterator[Due]:
    grant = define_grant(document.body)
    begun = start_of(held.body)
    start = max(begun, reading.moment(document.body, "start_date") or begun)
    ends = (reading.moment(b, "end_date") for b in (document.body, held.body))
    end = min((e for e in ends if e is not None), default=None)
    for term in _terms(grant, held, Period(start, max(start, until))):
        if term.start > until or (end is not None and term.start >= end):
            return
        cycle = cycle_of(held.body)
        expires = grant.expires(term.start, cycle.next(term.start, end))
        key = f"grant/{document.id}/{held.id}/{rfc3339(term.start)}"
        amount = _credits(grant, held, term)
        yield Due(
            key, document.id, amount, term.start, expires, grant.priority, _rates(document.body)
        )


def _terms(grant: Grant, held: Document, span: Period) -> Iterator[Period]:
    """List the terms that begin within a span, the first perhaps short: to the anchor."""
    if grant.period is None:
        yield span
        return
    start = span.start
    cycle = _grant_cycle(grant, held)
    while start <= span.end:
        following = cycle.next(start)
        yield Period(start, following)
        start = following


def _credits(grant: Grant, held: Document, term: Period) -> Decimal:
    """Give the whole grant, or a short first term's share of it."""
    if grant.period is None:
        return grant.credits
    full = Period(_grant_cycle(grant, held).previous(term.end), term.end)
    if full.start >= term.start:
        return grant.credits
    return prorated_credits(grant.credits, share_used(full, term))


def _grant_cycle(grant: Grant, held: Document) -> Cycle:
    cycle = cycle_of(held.body)
    period = grant.period or cycle.period
    anchor = cycle.anchor
    if held.body["billing_cycle"] == "calendar":
        anchor = calendar_anchor(start_of(held.body), period, cycle.zone)
    return replace(cycle, anchor=anchor, period=period, count=grant.count)
