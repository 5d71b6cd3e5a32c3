"""What becomes of a call where nobody can say whether it may be made: one setting decides."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.gate import FREE, Ask, Gate, Refused, Ticket
from tokenmeter.enforcement.terms import Enforcement
from tokenmeter.engine.store.patience import Patience

log = logging.getLogger("tokenmeter")

RETRY_AFTER_S = 5  # while a wallet, a count or an estimate cannot be had


def undecided(terms: Enforcement, why: str) -> Ticket:
    """Let the call pass with nothing reserved, or refuse it, as the user has set."""
    if terms.on_unavailable == "open":
        return FREE
    raise Refused(Refusal(503, f"{why}, so it is not made; try again later.", RETRY_AFTER_S))


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A gate that asks a database, which may be away or locked."""

    gate: Gate
    terms: Enforcement
    asks: str  # "limits"

    def admit(self, ask: Ask) -> Ticket:
        """Ask the gate; if it cannot know, the setting decides."""
        try:
            with Patience(self.terms.lock_wait_s):
                return self.gate.admit(ask)
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - a border: the user's call does not fail by it
            log.warning("tokenmeter: the %s of a call could not be read: %r", self.asks, error)
            return undecided(self.terms, f"The {self.asks} of this call cannot be read")
