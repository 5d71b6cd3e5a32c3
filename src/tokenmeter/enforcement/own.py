"""A decision of the user's own: ``enforce=callable``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.gate import FREE, Ask, Refused, Ticket

Decide = Callable[[Ask], Any]  # None or True: make the call; False, a text or a Refusal: do not


class OwnGate:
    """Asks the user's function. What it raises goes to the caller of the call."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide

    def admit(self, ask: Ask) -> Ticket:
        """Refuse with 402 and the text returned, or with the Refusal returned."""
        answer = self._decide(ask)
        if answer is None or answer is True:
            return FREE
        if isinstance(answer, Refusal):
            raise Refused(answer)
        says = answer if isinstance(answer, str) else "This call is not allowed."
        raise Refused(Refusal(402, says))
