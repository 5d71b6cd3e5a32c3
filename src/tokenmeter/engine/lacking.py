"""Events whose names meters know, but whose numbers no meter finds: worth a warning."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tokenmeter.engine.definitions.service import Definitions
from tokenmeter.event import Event
from tokenmeter.rating.define import define_meter
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import is_billable
from tokenmeter.rating.meter import AggregationType, Meter

KNOWN_S = 5.0  # meters are read again after this

_logger = logging.getLogger("tokenmeter.engine")


@dataclass(slots=True)
class Lacking:
    """
    Tells of events that some meter counts by name, while every such meter lacks its field.

    What is not billable is counted by none, and may lack what it likes.
    """

    definitions: Definitions
    _read: float = -KNOWN_S
    _fields: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    _told: set[str] = field(default_factory=set[str])  # names that were logged

    def warning(self, events: Iterable[Event]) -> str:
        """Return a sentence about the events, and log it once for each name; "" if all is well."""
        self._refresh()
        known = self._fields
        if not known:
            return ""
        names = {
            name
            for event in events
            if (name := event.event_name) in known
            and event.properties.keys().isdisjoint(known[name])
            and is_billable(event.properties)
        }
        return " ".join(map(self._said, sorted(names)))

    def _said(self, name: str) -> str:
        fields = ", ".join(sorted(self._fields[name]))
        text = f"Events {name!r} have none of the fields that meters count: {fields}."
        if name not in self._told:
            self._told.add(name)
            _logger.warning("tokenmeter: %s", text)
        return text

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read < KNOWN_S:
            return
        meters: dict[str, list[Meter]] = {}
        for body in self.definitions.all("meter"):
            try:
                meter = define_meter(body)
            except RatingError:
                continue  # ingest logs it: `rollups`
            meters.setdefault(meter.event_name.strip(), []).append(meter)
        found = {n: _fields(m) for n, m in meters.items() if all(map(_needs_a_field, m))}
        if found != self._fields:
            self._told.clear()
        self._fields, self._read = found, now


def _needs_a_field(meter: Meter) -> bool:
    rule = meter.aggregation
    return rule.kind is not AggregationType.COUNT and not rule.expression


def _fields(meters: Iterable[Meter]) -> frozenset[str]:
    rules = [meter.aggregation for meter in meters]
    return frozenset(name for rule in rules for name in (rule.field, *rule.aliases))
