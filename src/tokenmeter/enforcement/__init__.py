"""
Enforcement: a call is made only if its customer may make it.

The same code decides in the gateway's middleware and at the taps of an application.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.counters import MemoryCounters
from tokenmeter.enforcement.doubt import InDoubt
from tokenmeter.enforcement.gate import Ask, Gate, Refused, Ticket, Together
from tokenmeter.enforcement.limits import Limit, LimitGate
from tokenmeter.enforcement.own import Decide, OwnGate
from tokenmeter.enforcement.parts import Counters, MoneyOf
from tokenmeter.enforcement.quota import QuotaGate
from tokenmeter.enforcement.settling import JobEnded, tell_of_jobs
from tokenmeter.enforcement.terms import Enforcement, enforcement_of
from tokenmeter.enforcement.unsettled import UNSETTLED
from tokenmeter.enforcement.wallet import HoldDesk, WalletGate
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event
from tokenmeter.pricing.quote import Charger

if TYPE_CHECKING:
    from tokenmeter.delivery.flexprice.account import Account
    from tokenmeter.meter import TokenMeter
    from tokenmeter.previews import Caution

__all__ = [
    "Ask",
    "Enforcement",
    "Gate",
    "Limit",
    "Refusal",
    "Refused",
    "Ticket",
    "caution_of",
    "enforcement_of",
    "gate_of",
]

Enforce = str | Decide
DEFAULT = Enforcement()


def gate_of(
    meter: TokenMeter,
    enforce: Enforce | None,
    limits: Sequence[Limit] = (),
    terms: Enforcement = DEFAULT,
) -> Gate | None:
    """
    Build what decides about a meter's calls; None if nothing is to be enforced.

    `enforce`: ``"wallet"``, ``"quota"`` or a function of the Ask. Raises ConfigurationError.
    """
    gates: list[Gate] = []
    charger = getattr(getattr(meter.backend, "engine", None), "charge_of", None)
    if limits:
        counters = _counters(meter)
        counted = LimitGate(limits, counters, money_of(meter, charger), terms)
        _tell_of_jobs(meter, counters, counted.job_ended)
        gates.append(InDoubt(counted, terms, "limits"))
    if inspect.iscoroutinefunction(enforce):
        raise ConfigurationError(
            "enforce= is an async function; give it a plain one, which is asked on a thread"
        )
    if callable(enforce):
        gates.append(OwnGate(enforce))
    elif enforce == "quota":
        gates.append(InDoubt(_quotas(meter, terms), terms, "quotas"))
    elif enforce == "wallet":
        gates.append(_paid(meter, terms))
    elif enforce is not None:
        raise ConfigurationError(
            f"enforce={enforce!r} is unknown; use 'wallet', 'quota' or a function of the call"
        )
    if not gates:
        return None
    return gates[0] if len(gates) == 1 else Together(tuple(gates))


def _quotas(meter: TokenMeter, terms: Enforcement) -> QuotaGate:
    desk = meter.engine.quota_holds
    gate = QuotaGate(desk, terms.hold_s)
    _settled_first(meter, desk, gate.job_ended)
    return gate


def _paid(meter: TokenMeter, terms: Enforcement) -> WalletGate:
    desk, charger = _wallets(meter, terms)
    gate = WalletGate(desk, charger, terms)
    _settled_first(meter, desk, gate.job_ended)
    return gate


def _tell_of_jobs(meter: TokenMeter, desk: object, job_ended: JobEnded) -> None:
    told: set[object] = vars(meter).setdefault("_told_of_jobs", set())
    if desk not in told:  # by another gate: a job is settled once
        told.add(desk)
        tell_of_jobs(meter, job_ended)


def _settled_first(meter: TokenMeter, desk: object, job_ended: JobEnded) -> None:
    """Have events delivered once their calls are settled, and the holds of jobs at their end."""
    _tell_of_jobs(meter, desk, job_ended)
    if UNSETTLED.wait not in meter.waits:
        meter.waits.append(UNSETTLED.wait)


def caution_of(meter: TokenMeter, enforce: Enforce | None, terms: Enforcement) -> Caution:
    """Return how a meter's calls are to be quoted for its gate."""
    from tokenmeter.previews import Caution  # with the price book, when it is needed

    charger = _wallets(meter, terms)[1] if enforce == "wallet" else None
    return Caution(terms.answer_tokens_max, charger)


def _wallets(meter: TokenMeter, terms: Enforcement) -> tuple[HoldDesk, Charger | None]:
    """Return what holds money, and what knows the prices: the engine in process, or a server."""
    engine = getattr(meter.backend, "engine", None)
    account: Account | None = getattr(meter.backend, "account", None)
    if terms.wallets is not None:
        from tokenmeter.delivery.flexprice.account import account as read  # where it is wanted

        account = read(terms.wallets)
    elif engine is not None or account is None:
        return meter.engine.wallets, meter.engine.charge_of  # says how, if it has none
    from tokenmeter.enforcement.remote import RemoteDesk  # as above

    desks: dict[object, RemoteDesk] = vars(meter).setdefault("_remote_desks", {})
    key = (account.base_url, terms.timeout_s)
    if key not in desks:
        desks[key] = RemoteDesk(replace(account, timeout_s=terms.timeout_s))
        meter.closed_with.append(desks[key].close)
    return desks[key], desks[key]


def _counters(meter: TokenMeter) -> Counters:
    """Count in the meter's database, where it has one: then all processes count together."""
    engine = getattr(meter.backend, "engine", None)
    counters: Counters | None = getattr(engine, "counters", None)
    return counters or MemoryCounters()


def money_of(meter: TokenMeter, charger: Charger | None) -> MoneyOf:
    """Return what tells the charge of an event if a catalog applies, else its cost if known."""

    def money(event: Event) -> Decimal | None:
        charge = None if charger is None else charger(event)
        return meter.cost_of(event) if charge is None else charge.amount

    return money
