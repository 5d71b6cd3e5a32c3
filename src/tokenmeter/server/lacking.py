"""Events whose names meters know, but whose numbers no meter finds: worth a warning."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tokenmeter.engine.definitions.service import Definitions
from tokenmeter.event import Event
from tokenmeter.rating.define import define_meter
from tokenmeter.rating.meter import AggregationType, Meter

KNOWN_S = 5.0  # meters are read again after this
SHAPES_MAX = 10_000  # kinds of events remembered
Shape = tuple[str, frozenset[str]]

_logger = logging.getLogger("tokenmeter.server")


@dataclass(slots=True)
class Lacking:
    """Tells of events that some meter counts by name, while every such meter lacks its field."""

    definitions: Definitions
    _read: float = -KNOWN_S
    _meters: dict[str, list[Meter]] = field(default_factory=dict[str, list[Meter]])
    _known: dict[Shape, str] = field(default_factory=dict[Shape, str])

    def warning(self, events: Iterable[Event]) -> str:
        """Return a sentence about the events, and log it once for each kind; "" if all is well."""
        self._refresh()
        shapes = {(e.event_name, frozenset(e.properties)) for e in events}
        return " ".join(sorted({text for shape in shapes if (text := self._told(shape))}))

    def _told(self, shape: Shape) -> str:
        found = self._known.get(shape)
        if found is None:
            found = self._said(shape)
            if len(self._known) >= SHAPES_MAX:
                self._known.clear()
            self._known[shape] = found
            if found:
                _logger.warning("tokenmeter: %s", found)
        return found

    def _said(self, shape: Shape) -> str:
        name, properties = shape
        meters = self._meters.get(name, [])
        if not meters or any(_finds(meter, properties) for meter in meters):
            return ""
        wanted = sorted({m.aggregation.field for m in meters if m.aggregation.field})
        return f"Events {name!r} have none of the fields that meters count: {', '.join(wanted)}."

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read < KNOWN_S:
            return
        found: dict[str, list[Meter]] = {}
        for body in self.definitions.all("meter"):
            meter = define_meter(body)
            found.setdefault(meter.event_name, []).append(meter)
        if found != self._meters:
            self._known.clear()
        self._meters, self._read = found, now


def _finds(meter: Meter, properties: frozenset[str] | Mapping[str, object]) -> bool:
    rule = meter.aggregation
    if rule.kind is AggregationType.COUNT or rule.expression:
        return True
    return any(name in properties for name in (rule.field, *rule.aliases))
