"""
An event is delivered once its call is settled: until then the hold stands for what it cost.

Were it delivered before, its cost would be held and used at once, and a call that the balance
still covers would be refused.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from tokenmeter.enforcement.gate import OF_RUN, references
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.event import Event

OPEN_MAX = 100_000  # calls that are remembered; a job's is until its end
ENDS_S_MAX = 0.3  # events wait so long for their calls to end, as those of a long run may not
SETTLES_S_MAX = 2.0  # and so long for the settler to come to them


class Unsettled:
    """The calls of this process whose money is held, by the reference of the hold."""

    def __init__(self) -> None:
        self._fresh()
        os.register_at_fork(after_in_child=self._fresh)

    def _fresh(self) -> None:
        self._open = OrderedDict[str, None]()
        self._settled = threading.Condition()

    def begin(self, reference: str) -> None:
        """Say that money is held for a call."""
        with self._settled:
            self._open[reference.partition(OF_RUN)[0]] = None
            if len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)

    def end(self, found: Iterable[str]) -> None:
        """Say that holds are settled, or never will be."""
        with self._settled:
            for reference in found:
                self._open.pop(reference.partition(OF_RUN)[0], None)
            self._settled.notify_all()

    def wait(self, events: Sequence[Event]) -> None:
        """Wait, within limits, until no event is of a call that is not settled."""
        if not self._open:
            return
        wanted = {reference for event in events for reference in references(event)}
        with self._settled:
            if self._settled.wait_for(lambda: wanted.isdisjoint(self._open), ENDS_S_MAX):
                return
        SETTLER.drain(SETTLES_S_MAX)


UNSETTLED = Unsettled()
