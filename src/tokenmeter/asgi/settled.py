"""What was reserved for a request, put right when the request is over."""

from __future__ import annotations

from collections.abc import Sequence

from tokenmeter.attribution import Run
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.gating import settle
from tokenmeter.enforcement.gate import FREE, Ticket
from tokenmeter.enforcement.settling import SETTLER


def settle_soon(
    ticket: Ticket,
    run: Run,
    seen: tuple[Sequence[Exchange], Sequence[Exchange]],
    status: int | None,
) -> None:
    """
    Settle a request's ticket off the event loop.

    `seen`: the exchanges of taps, and those that are the request's own. What a tap has asked
    about has a ticket of its own.
    """
    upstream, mine = seen
    held = [other for other in upstream if other.ticket not in (None, FREE)]
    by_taps = {other.attempt.call_id for other in held}
    job = next((o.job for o in mine if o.job is not None and o not in held), None)
    events = tuple(e for e in run.events if e.properties.get("call_id") not in by_taps)
    SETTLER.add(lambda: settle(ticket, events, status, job))
