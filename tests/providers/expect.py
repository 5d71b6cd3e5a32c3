"""Compare what an adapter read with what a recording must yield."""

from __future__ import annotations

from tests.corpus import FREE_APIS, Exchange
from tests.providers.fold import Read
from tokenmeter.providers import Reading
from tokenmeter.usage import Number

FAILED_FROM = 400
COUNTED_BY_US = {"output_count", "image_count", "video_count", "characters", "request_count"}


def departures(exchange: Exchange, read: Read) -> list[str]:
    """Name everything in which `read` is not what the recording must yield; [] if nothing."""
    if exchange.api in FREE_APIS:
        return [] if read.call is None else ["a free call was metered"]
    if read.call is None:
        return ["the call was not recognised"]
    expected, reading = exchange.expected, read.reading
    failed = exchange.response["status"] >= FAILED_FROM or reading.state == "failed"
    pairs = {
        "provider": (read.call.provider, exchange.provider),
        "model": (reading.model, expected["model"]),
        "status": ("failed" if failed else "ok", expected["status"]),
        "streamed": (read.call.streamed, expected.get("stream_requested")),
        "usage_reported": (_reports_usage(reading), expected["usage_reported"]),
        **{m: (_measured(reading, m), w) for m, w in exchange.metrics().items()},
    }
    return [
        f"{name}: {got!r}, expected {wanted!r}"
        for name, (got, wanted) in pairs.items()
        if wanted is not None and got != wanted and not (wanted == 0 and got is None)
    ]


def _reports_usage(reading: Reading) -> bool:
    """Counted in the answer or the request is not reported as usage."""
    return bool(set(reading.usage) - COUNTED_BY_US) and "counted" not in reading.flags


def _measured(reading: Reading, metric: str) -> Number | None:
    """Images that a hidden sub-call made are images of the answer; nothing else is added up."""
    if metric == "image_count" and metric not in reading.usage:
        return next((p.usage[metric] for p in reading.parts if metric in p.usage), None)
    return reading.usage.get(metric)
