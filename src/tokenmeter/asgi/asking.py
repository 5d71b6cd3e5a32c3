"""What a request brings with it, and the run that its calls make."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tokenmeter.asgi.body import Body
from tokenmeter.asgi.incoming import Incoming
from tokenmeter.asgi.routes import Route
from tokenmeter.attribution import Run, Scope
from tokenmeter.capture.retries import new_id
from tokenmeter.enforcement.gate import OF_RUN
from tokenmeter.frozen import value

if TYPE_CHECKING:
    from tokenmeter.asgi.charges import Charges
    from tokenmeter.event import Event
    from tokenmeter.meter import TokenMeter


class GatewayRun(Run):
    """A run that tells when one of its events has come, if somebody wants to know."""

    __slots__ = ("cost_of", "told")

    def __init__(self, run_id: str, meter: TokenMeter) -> None:
        # Each by itself, as Run's own __init__ does: this is on the way of every request.
        self.run_id, self.price = run_id, meter.cost_of
        self.cost_of: Callable[[Event], str | None] = meter.cost_told  # as it is written
        self.events, self.events_dropped = [], 0
        self._ids = set()
        self.told: Callable[[], None] | None = None

    def add(self, event: Event) -> None:
        """Keep an event of this run."""
        super().add(event)
        told = self.told
        if told is not None:
            told()


@value(frozen=True, slots=True)
class Asking:
    """What a request brings with it: who asks for what, in which scope."""

    request: Incoming
    route: Route
    body: Body
    scope: Scope
    run: GatewayRun
    meter: TokenMeter
    charges: Charges

    @property
    def reference(self) -> str:
        """What is held for this request, which others may share the run of."""
        run_id = self.run.run_id
        return run_id if self.scope.outer is None else new_id(f"{run_id}{OF_RUN}")
