"""Enforcement where an application has no gateway: its calls are asked about at the taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenmeter.attribution import Attribution, Scope
from tokenmeter.enforcement import Enforce, gate_of
from tokenmeter.enforcement.gate import FREE, Ask, Gate, Ticket
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.enforcement.terms import ANSWER_TOKENS_MAX
from tokenmeter.errors import ConfigurationError, TokenmeterError
from tokenmeter.event import Event
from tokenmeter.providers.base import Call, Json
from tokenmeter.quoting import previews_of

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter
    from tokenmeter.pricing.quote import Quote


GATES_MAX = 100  # rules of one meter that are remembered


class TapGate:
    """Asks a gate about a call that a tap has described; see capture.gating."""

    def __init__(
        self,
        gate: Gate,
        meter: TokenMeter,
        plan: str | None = None,
        answer_tokens_max: int = ANSWER_TOKENS_MAX,
    ) -> None:
        self._gate = gate
        self._meter = meter
        self._plan = plan
        self._answer_tokens_max = answer_tokens_max

    def admit(self, call: Call, body: Json, scope: Scope) -> Ticket:
        """Reserve what the call may take; raises Refused."""
        if call.repeated or not call.billable:
            return FREE
        whose = scope.attribution
        quote = estimated(self._meter, call, body, whose, self._answer_tokens_max)
        run = scope.run
        reference = "" if run is None else run.run_id
        asked = (whose.customer, whose.feature, self._plan, call.request_model, quote, reference)
        ticket = self._gate.admit(Ask(*asked))
        return FREE if ticket is FREE else _Later(ticket)


def estimated(
    meter: TokenMeter, call: Call, body: Json, whose: Attribution, answer_tokens_max: int
) -> Quote | None:
    """Quote a call, its high end no less than can be; None if no estimate can be made."""
    try:
        quotes = previews_of(meter)
        return quotes.of_call(call, body, whose, answer_tokens_max=answer_tokens_max)
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


def tap_gate(meter: TokenMeter, enforce: Enforce) -> TapGate:
    """Return what decides about the calls of a scope; made once per meter and rule."""
    known: dict[object, TapGate] = vars(meter).setdefault(_MADE, {})
    gate = known.get(enforce)
    if gate is None:
        decides = gate_of(meter, enforce)
        if decides is None:
            raise ConfigurationError("enforce is empty; use 'wallet', 'quota' or a function")
        gate = known[enforce] = TapGate(decides, meter)
        if len(known) > GATES_MAX:
            known.pop(next(iter(known)))
    return gate


_MADE = "_tap_gates"
