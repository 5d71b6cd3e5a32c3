"""What the user decides about capture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tokenmeter.capture.observation import Observation, default_billable
from tokenmeter.errors import ConfigurationError

OnAbort = Literal["estimate", "drain", "partial"]


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What is billable, and what to do about streams.

    `billable`: True if the customer is to pay for an attempt; default: successes, and
    cancelled calls whose usage is known. `on_abort`: what an aborted stream is worth:
    ``estimate`` what the provider did not report, ``drain`` the rest in the background (with
    limits), or ``partial``: only what was reported. `include_usage`: ask OpenAI-style streams
    for usage and hide the extra chunk. `retry_window_s`: an equal request within this time of
    a failure is its retry.
    """

    billable: Callable[[Observation], bool] = default_billable
    on_abort: OnAbort = "estimate"
    include_usage: bool = True
    retry_window_s: float = 60.0

    def __post_init__(self) -> None:
        if self.on_abort not in {"estimate", "drain", "partial"}:
            raise ConfigurationError(
                f"on_abort={self.on_abort!r} is unknown; use 'estimate', 'drain' or 'partial'"
            )
        if not _is_window(self.retry_window_s):
            raise ConfigurationError(
                "retry_window_s must not be negative, and a number; use 0 to group nothing"
            )
        if not _is_flag(self.include_usage):
            raise ConfigurationError(f"include_usage={self.include_usage!r} must be True or False")
        if not callable(self.billable):
            raise ConfigurationError(
                f"billable={self.billable!r} is no function of the attempt; leave it out for ours"
            )


def _is_flag(given: object) -> bool:
    return isinstance(given, bool)


def _is_window(given: object) -> bool:
    return isinstance(given, int | float) and given >= 0


def policy_of(given: object) -> Policy:
    """Return the policy, ours where none is given; raises ConfigurationError for what is none."""
    if given is None:
        return Policy()
    if not isinstance(given, Policy):
        raise ConfigurationError(f"policy={given!r} is none; give it Policy(on_abort='drain')")
    return given
