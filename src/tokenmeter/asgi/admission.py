"""A request before it is let through: what it will cost, and whether it may be made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokenmeter.asgi.asked import Asked
from tokenmeter.attribution import Attribution, Scope
from tokenmeter.capture.refusal import Refusal
from tokenmeter.capture.threads import in_thread
from tokenmeter.enforcement.gate import FREE, Gate, Refused, Ticket
from tokenmeter.enforcement.taps import TapGate, ask_of
from tokenmeter.previews import Caution, HttpRequest
from tokenmeter.quoting import previews_of

if TYPE_CHECKING:
    from tokenmeter.asgi.identity import Identity
    from tokenmeter.capture.exchange import Exchange
    from tokenmeter.meter import TokenMeter
    from tokenmeter.pricing.quote import Quote

TOO_LARGE = Refusal(413, "The body is larger than this gateway takes; send less.")
UNREADABLE = Refusal(400, "The body cannot be read; send JSON, and compress it with gzip at most.")


@dataclass(frozen=True, slots=True)
class Door:
    """What decides about a meter's requests, and with what caution they are quoted for it."""

    meter: TokenMeter
    gate: Gate
    caution: Caution

    def at_taps(self, meter: TokenMeter, plan: str | None) -> TapGate:
        """Return what asks the same gate about calls that the application makes."""
        return TapGate(self.gate, meter, self.caution, plan)

    async def admitted(
        self, meter: TokenMeter, asked: Asked, identity: Identity, reference: str
    ) -> Ticket:
        """Ask the gate about a request, off the event loop; raises Refused."""
        return await in_thread(
            lambda: self._admitted(meter, asked, identity, reference),
            undo=lambda ticket: ticket.settle(()),  # nobody waits for the answer any more
        )

    def _admitted(
        self, meter: TokenMeter, asked: Asked, identity: Identity, reference: str
    ) -> Ticket:
        if not asked.is_readable:
            raise Refused(UNREADABLE)
        call = asked.call()
        if call is None or call.repeated or not call.billable:
            return FREE  # a poll, a list: nobody bills it
        whose = Attribution(identity.customer, identity.feature)
        asking = ask_of(meter, call, asked.fields(), whose, self.caution)
        return self.gate.admit(replace(asking, plan=identity.plan, reference=reference))


def gate_later(scope: Scope, later: TapGate, earlier: Sequence[Exchange]) -> None:
    """Have a call of a request asked about, unless it is the one that was admitted with it."""
    used = any(other.is_open or other.error is None for other in earlier)
    if used and scope.gate is None:
        scope.gate = later
    elif not used and scope.gate is later:
        scope.gate = None


async def quoted(meter: TokenMeter, asked: Asked, identity: Identity) -> Quote | None:
    """Quote a request, off the event loop; None if it is no call that is metered."""
    return await in_thread(lambda: _quote(meter, asked, identity))


def _quote(meter: TokenMeter, asked: Asked, identity: Identity) -> Quote | None:
    request = HttpRequest(asked.method, asked.full_url, asked.headers, asked.body() or b"")
    whose = Attribution(identity.customer, identity.feature)
    return previews_of(meter).of_request(request, whose)
