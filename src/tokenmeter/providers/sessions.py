"""What the readers of sessions' events share: the session so far, and what one event says."""

from __future__ import annotations

from dataclasses import dataclass

from tokenmeter.providers.base import NO_READING, Call, Reading
from tokenmeter.usage import Number


@dataclass(frozen=True, slots=True)
class Session:
    """What earlier events said of one session; the usage of later ones needs it."""

    session_id: str | None = None  # the provider's own
    model: str | None = None
    transcriber: str | None = None  # the model that writes down what the user says
    seconds: Number = 0  # of a cumulative count, what has been billed
    runtime: Number | None = None  # seconds that it ran until now; None: nobody has told
    service_tier: str | None = None  # of an agent's calls, where the session states it


@dataclass(frozen=True, slots=True)
class Heard:
    """
    What one event says: the session as it is now, and what is to be billed, if anything.

    `reading` is settled. `cancelled`: the answer was interrupted; its usage counts.
    """

    session: Session
    call: Call | None = None
    reading: Reading = NO_READING
    cancelled: bool = False
    closed: bool = False  # nothing more comes of this session
