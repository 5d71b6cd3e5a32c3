"""Now, and how a moment is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]  # aware


def system_clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Write a moment as Flexprice does: UTC, with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
