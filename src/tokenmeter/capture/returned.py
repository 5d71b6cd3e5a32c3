"""Usage from what a decorated function returned, where no exchange was seen."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tokenmeter.attribution import Scope
from tokenmeter.capture.metering import Extract
from tokenmeter.capture.observation import Observation, Outcome
from tokenmeter.capture.reader import fold_parsed
from tokenmeter.capture.recorded import dimension, metric_number
from tokenmeter.capture.retries import new_id
from tokenmeter.capture.sink import Sink
from tokenmeter.errors import ConfigurationError
from tokenmeter.providers.base import Api, Call, Json, Reading, settled_as_read
from tokenmeter.providers.shapes import recognise
from tokenmeter.usage import METRICS, Number, Usage

log = logging.getLogger("tokenmeter")


NO_USAGE = (
    "tokenmeter found no usage in what %s returned; return the SDK's response, pass extract=, "
    "or use tokenmeter.record()"
)


def _nothing(_payload: Json) -> Reading:
    return Reading()


FUNCTION = Api("function", "api_calls", _nothing, settled_as_read)


class Returned:
    """Folds the values of one decorated call; closes once."""

    def __init__(self, sink: Sink, scope: Scope, name: str, extract: Extract | None) -> None:
        self._sink = sink
        self._scope = scope
        self._name = name
        self._extract = extract
        self._call: Call | None = None
        self._reading = Reading()
        self._open = [None]  # popped by whoever closes

    def look_at(self, value: object) -> None:
        """Read one returned or yielded value, unless an exchange has been seen."""
        if self._scope.observed:
            return
        try:
            self._read(value)
        except Exception as error:  # noqa: BLE001 - a value of the user's may do anything
            self._sink.fault(error)

    def close_soon(self, outcome: Outcome, error: BaseException | None) -> None:
        """Close without waiting for anything: now if that is possible, else later."""
        if self._open and not self._scope.observed:
            self._sink.soon(lambda: self.close(outcome, error))

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Make the event of a call that no tap saw."""
        try:
            self._open.pop()
        except IndexError:
            return
        if self._scope.observed:
            return
        for level in self._scope.chain():
            level.observed += 1  # a decorated function around this one records nothing more
        try:
            self._sink.observed(self._observation(outcome, error), self._scope)
        except Exception as fault:  # noqa: BLE001 - a fault of ours must not reach the user
            self._sink.fault(fault)

    def _read(self, value: object) -> None:
        if self._extract is not None:
            self._reading = self._reading | extracted(self._extract(value))
            return
        payload = as_wire(value)
        if payload is None:
            return
        if self._call is None:
            self._call = recognise(payload)
        if self._call is not None:
            self._reading = fold_parsed(self._call.api, self._reading, payload)

    def _observation(self, outcome: Outcome, error: BaseException | None) -> Observation:
        call = self._call or Call("unknown", FUNCTION)
        reading = call.api.settle(self._reading, call)
        failure = None if error is None else type(error).__name__
        if outcome == "success" and reading.state == "failed":
            outcome, failure = "failed", reading.error_type
        if outcome == "success" and not reading.usage and reading.state != "pending":
            reading = reading | Reading(flags=frozenset({"no_usage_found"}))
            log.warning(NO_USAGE, self._name)
        dimensions = {**reading.dimensions, "function": self._name}
        return Observation(
            call,
            new_id("call_"),
            replace(reading, raw={}, dimensions=dimensions),
            outcome,
            "reported" if reading.usage else "missing",
            self._scope.attribution,
            None if self._scope.run is None else self._scope.run.run_id,
            error_type=failure if outcome == "failed" else None,
        )


def as_wire(value: object) -> Json | None:
    """Turn an SDK's object into its wire form; None if it has none."""
    if isinstance(value, dict):
        return value
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        # SDKs build objects from whatever came; pydantic would warn of it.
        dumped = dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
        return dumped if isinstance(dumped, dict) else None
    return None


def extracted(found: Mapping[str, Any] | None) -> Reading:
    """Read what the user's extract= returned: metrics by name, everything else a dimension."""
    if not found:
        return Reading()
    usage: dict[str, Number] = {}
    dimensions: dict[str, str] = {}
    flags: set[str] = set()
    for name, value in found.items():
        if value is None:
            continue
        if name not in METRICS:
            dimensions[name] = dimension(value)
            continue
        try:
            usage[name] = metric_number(name, value)
        except ConfigurationError:
            flags.add(f"invalid:{name}")
    model = dimensions.pop("model", None)
    return Reading(Usage(usage), model, dimensions=dimensions, flags=frozenset(flags))
