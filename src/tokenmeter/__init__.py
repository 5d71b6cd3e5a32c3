"""Meter and price every AI provider call: tokens, images, video, retries and failures."""

from __future__ import annotations

from tokenmeter.attribution import Run
from tokenmeter.capture.observation import Observation
from tokenmeter.capture.policy import Policy
from tokenmeter.default import (
    attribute,
    configure,
    flush,
    instrument,
    metered,
    preview,
    preview_call,
    read_event,
    record,
    run,
    settle_job,
    shutdown,
    timer,
    uninstrument,
    wrap,
)
from tokenmeter.delivery.protocol import (
    Backend,
    Receipt,
    RefusedError,
    Rejection,
    TransientError,
)
from tokenmeter.errors import (
    ConfigurationError,
    CurrencyError,
    JobError,
    MissingExtraError,
    NoCallError,
    PreviewError,
    TokenmeterError,
    UnknownClientError,
)
from tokenmeter.event import Event
from tokenmeter.meter import TokenMeter
from tokenmeter.money import Money
from tokenmeter.pricing.quote import Quote, Range
from tokenmeter.usage import METRICS, Usage

__all__ = [
    "Backend",
    "ConfigurationError",
    "CurrencyError",
    "Event",
    "JobError",
    "METRICS",
    "MissingExtraError",
    "Money",
    "NoCallError",
    "Observation",
    "Policy",
    "PreviewError",
    "Quote",
    "Range",
    "Receipt",
    "RefusedError",
    "Rejection",
    "Run",
    "TokenMeter",
    "TokenmeterError",
    "TransientError",
    "UnknownClientError",
    "Usage",
    "attribute",
    "configure",
    "flush",
    "instrument",
    "metered",
    "preview",
    "preview_call",
    "read_event",
    "record",
    "run",
    "settle_job",
    "shutdown",
    "timer",
    "uninstrument",
    "wrap",
]
