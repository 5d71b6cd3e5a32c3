"""Pending jobs, and how they stand, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenmeter.cli.tables import DASH, console, print_whole, shown, table

if TYPE_CHECKING:
    from tokenmeter.cli.jobs_poll import Answer
    from tokenmeter.cli.jobs_waiting import Waiting

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def print_waiting(found: Sequence[Waiting]) -> None:
    """Print the jobs that have not ended, the oldest first."""
    out = console()
    if not found:
        out.print("No job is pending.")
        return
    rows = table(
        ["age", "provider", "job", "customer", "event", "model", "estimate USD"],
        numbers=("age", "estimate USD"),
    )
    for job in found:
        rows.add_row(
            age(job.age_s),
            *(shown(text) for text in (job.provider, job.job_id, job.customer, job.event_name)),
            shown(job.model),
            _estimate(job.estimate_usd),
        )
    print_whole(out, rows)


def print_answers(answers: Sequence[Answer]) -> None:
    """Print how each polled job stands."""
    out = console()
    if not answers:
        out.print("No job is pending.")
        return
    rows = table(["provider", "job", "customer", "result", "reason"], numbers=())
    for answer in answers:
        rows.add_row(*(shown(text) for text in answer))
    print_whole(out, rows)


def age(seconds: int) -> str:
    """Write an age in its largest whole unit: 90 s is 1 min."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _estimate(estimate: tuple[str, str] | None) -> str:
    if estimate is None:
        return DASH
    low, high = estimate
    return low if low == high else f"{low} to {high}"
