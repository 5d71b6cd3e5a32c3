"""Enforcement where an application has no gateway: its calls are asked about at the taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from tokenmeter.attribution import Attribution
from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.gating import keep
from tokenmeter.enforcement import Enforce, Enforcement, caution_of, gate_of
from tokenmeter.enforcement.gate import FREE, Ask, Gate, Ticket
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.errors import ConfigurationError, TokenmeterError
from tokenmeter.event import Event
from tokenmeter.providers.base import Call, Json
from tokenmeter.quoting import previews_of

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter
    from tokenmeter.previews import Caution
    from tokenmeter.pricing.quote import Quote


GATES_MAX = 100  # rules of one meter that are remembered


class TapGate:
    """Asks a gate about a call that a tap has described; see capture.gating."""

    def __init__(
        self, gate: Gate, meter: TokenMeter, caution: Caution, plan: str | None = None
    ) -> None:
        self._gate = gate
        self._meter = meter
        self._caution = caution
        self._plan = plan

    def admit(self, call: Call, body: Json, attempt: Attempt) -> Ticket:
        """Reserve what the call may take; raises Refused."""
        if call.repeated or not call.billable:
            return FREE
        asking = ask_of(self._meter, call, body, attempt.attribution, self._caution)
        ticket = self._gate.admit(replace(asking, plan=self._plan, reference=attempt.call_id))
        return FREE if ticket is FREE else _Later(ticket)


def ask_of(meter: TokenMeter, call: Call, body: Json, whose: Attribution, caution: Caution) -> Ask:
    """Return what a gate is asked about a call: for whom it is, and what is expected of it."""
    quote = _estimated(meter, call, body, whose, caution)
    found = ((), ()) if quote is None else (quote.events, quote.most)
    events, most = (tuple(chain.from_iterable(map(meter.shape.written, some))) for some in found)
    who = (whose.customer, whose.feature)
    return Ask(*who, model=call.request_model, quote=quote, events=events, most=most)


def _estimated(
    meter: TokenMeter, call: Call, body: Json, whose: Attribution, caution: Caution
) -> Quote | None:
    """Quote a call with caution; None if no estimate can be made."""
    try:
        return previews_of(meter).of_call(call, body, whose, caution)
    except TokenmeterError:
        return None
    except Exception as error:  # noqa: BLE001 - a border: without an estimate the gate decides
        meter.fault(error)
        return None


@dataclass(frozen=True, slots=True)
class _Later:
    """A ticket that is settled on a thread of its own: the user's call does not wait."""

    ticket: Ticket

    def settle(self, events: Sequence[Event]) -> None:
        kept = tuple(events)
        SETTLER.add(lambda: self.ticket.settle(kept))

    def keep(self, job: str) -> None:
        SETTLER.add(lambda: keep(self.ticket, job))


def tap_gate(meter: TokenMeter, enforce: Enforce) -> TapGate:
    """Return what decides about the calls of a scope; made once per meter and rule."""
    known: dict[object, TapGate] = vars(meter).setdefault(_MADE, {})
    gate = known.get(enforce)
    if gate is None:
        terms = Enforcement()
        decides = gate_of(meter, enforce, (), terms)
        if decides is None:
            raise ConfigurationError("enforce is empty; use 'wallet', 'quota' or a function")
        gate = known[enforce] = TapGate(decides, meter, caution_of(meter, enforce, terms))
        if len(known) > GATES_MAX:
            known.pop(next(iter(known)))
    return gate


_MADE = "_tap_gates"
