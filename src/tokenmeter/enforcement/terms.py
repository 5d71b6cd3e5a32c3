"""What enforcement does where it cannot know."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from tokenmeter.errors import ConfigurationError
from tokenmeter.pricing.names import is_batch

HOLD_S = 900.0  # longer than any call; a crashed worker's holds come back after it
ANSWER_TOKENS_MAX = 4_096  # few answers without a limit are longer
TIMEOUT_S = 2.0
LOCK_WAIT_S = 30.0  # a crowd of clients on a slow machine makes one wait for more than ten
TIMEOUT_S_MAX = 60.0
HOLD_S_MAX = 24 * 3600.0


def _is_price(given: object) -> bool:
    return isinstance(given, int | Decimal) and is_number(given) and given > 0


def is_number(given: object) -> bool:
    """Whether something is a number that can be compared."""
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        return False
    return math.isfinite(given)


def _is_up_to(given: object, most: float) -> bool:
    return isinstance(given, int | float | Decimal) and is_number(given) and 0 < given <= most


@dataclass(frozen=True, slots=True)
class Enforcement:
    """
    `on_unavailable`: what becomes of a call if there is no estimate, or the wallet cannot be
    reached: ``"closed"`` refuses it with 503, ``"open"`` lets it pass unheld.
    `floor_price`: what is held for a call without a price, in the wallet's currency; without
    one such a call is a case for `on_unavailable`. `batch_price`: the same for a batch, whose
    requests may be in a file that was uploaded before. `hold_s`: how long a hold lasts at most.
    `wallets`: the server that keeps them, if it is not the meter's backend:
    ``"flexprice+https://KEY@host/v1"`` of a ``tokenmeter serve``; `timeout_s`: how long a call
    waits for it; `lock_wait_s`: for a database in process that others lock.
    `answer_tokens_max`: what is held for the output of a call that states no limit of its own.
    """

    on_unavailable: Literal["open", "closed"] = "closed"
    floor_price: Decimal | None = None
    batch_price: Decimal | None = None
    hold_s: float = HOLD_S
    answer_tokens_max: int = ANSWER_TOKENS_MAX
    wallets: str | None = field(default=None, repr=False)  # it may hold a key
    timeout_s: float = TIMEOUT_S
    lock_wait_s: float = LOCK_WAIT_S

    def __post_init__(self) -> None:
        if self.on_unavailable not in {"open", "closed"}:
            raise ConfigurationError(
                f"on_unavailable={self.on_unavailable!r} is unknown; use 'open' or 'closed'"
            )
        for name in ("floor_price", "batch_price"):
            price = getattr(self, name)
            if price is not None and not _is_price(price):
                raise ConfigurationError(
                    f"{name} must be above 0, as Decimal('0.05'); leave it out for none"
                )
        if not _is_up_to(self.hold_s, HOLD_S_MAX):
            raise ConfigurationError(f"hold_s must be above 0 and at most {HOLD_S_MAX:.0f}")
        if not _is_up_to(self.answer_tokens_max, math.inf):
            raise ConfigurationError("answer_tokens_max must be above 0; leave it out for 4,096")
        for name in ("timeout_s", "lock_wait_s"):
            if not _is_up_to(getattr(self, name), TIMEOUT_S_MAX):
                raise ConfigurationError(f"{name} must be above 0 and at most {TIMEOUT_S_MAX:.0f}")

    def without_price(self, operation: object) -> Decimal | None:
        """Return what a call comes to at least whose price nobody knows; None: nobody says."""
        is_one = isinstance(operation, str) and is_batch(operation)
        return self.batch_price if is_one else self.floor_price


def enforcement_of(given: object) -> Enforcement:
    """Return what the user has set; raises ConfigurationError for what is none."""
    if given is None:
        return Enforcement()
    if not isinstance(given, Enforcement):
        raise ConfigurationError(
            f"enforcement= is of {type(given).__name__}; use Enforcement(on_unavailable='open')"
        )
    return given
