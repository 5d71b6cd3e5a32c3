"""Learn which events the meter keeps of something that it is told."""

from __future__ import annotations

from tokenmeter.attribution import NO_ATTRIBUTION, Run, Scope
from tokenmeter.event import Event


class Witness(Run):
    """Hears of the events that the meter keeps, and passes them on to the user's own run."""

    __slots__ = ("_outer", "scope")

    def __init__(self, outer: Scope | None) -> None:
        super().__init__("")
        self._outer = None if outer is None else outer.run
        attribution = NO_ATTRIBUTION if outer is None else outer.attribution
        self.scope = Scope(outer, attribution, self)

    def add(self, event: Event) -> None:
        """Take one event."""
        super().add(event)
        if self._outer is not None:
            self._outer.add(event)
