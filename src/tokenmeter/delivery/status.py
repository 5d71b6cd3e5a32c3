"""What a backend's delivery has met, kept for `tokenmeter doctor`, which runs elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmeter.attribution import UNATTRIBUTED
from tokenmeter.delivery.deadletters import locked
from tokenmeter.event import Event, timestamp_text

STATUS = "status"
SAVE_INTERVAL_S = 5.0
MODELS_MAX = 100  # of unpriced models told by name
_OTHERS = "others"


class Status:
    """
    Count what was delivered without a price or a customer, and remember the last error.

    One file per backend below ``<state_dir>/status``, to which all processes add. Nothing is
    written as long as there is nothing to tell.
    """

    def __init__(self, state_dir: Path, name: str) -> None:
        self._path = state_dir / STATUS / f"{name}.json"
        self.unpriced: Counter[str] = Counter()  # by model, since this process began
        self.unattributed = 0
        self._saved_unpriced: Counter[str] = Counter()
        self._saved_unattributed = 0
        self._error: str | None = None
        self._save_at = 0.0

    def saw(self, event: Event) -> None:
        """Count an event that is settled."""
        properties = event.properties
        if properties.get("cost_source") == "unpriced":
            model = str(properties.get("model") or event.event_name)
            known = model in self.unpriced or len(self.unpriced) < MODELS_MAX
            self.unpriced[model if known else _OTHERS] += 1
        if event.external_customer_id == UNATTRIBUTED:
            self.unattributed += 1

    def failed(self, error: str) -> None:
        """Remember what went wrong last."""
        self._error = error

    def save(self, *, now: bool = False) -> None:
        """Write what is new, every few seconds or now; OSError if the disk refuses."""
        if not now and time.monotonic() < self._save_at:
            return
        self._save_at = time.monotonic() + SAVE_INTERVAL_S
        unpriced = self.unpriced - self._saved_unpriced
        unattributed = self.unattributed - self._saved_unattributed
        if not (unpriced or unattributed or self._error):
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock")):
            told = read(self._path)
            models = Counter(told["unpriced"]) + unpriced
            kept = dict(models.most_common(MODELS_MAX))
            error = {"error": self._error, "at": timestamp_text(datetime.now(UTC))}
            fields = {
                "unpriced": kept,
                "unattributed": told["unattributed"] + unattributed,
                "last_error": error if self._error else told["last_error"],
            }
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(fields))
            fresh.replace(self._path)
        self._saved_unpriced, self._saved_unattributed = self.unpriced.copy(), self.unattributed
        self._error = None


def read(path: Path) -> dict[str, Any]:
    """Return what a status file tells; one that is missing or damaged tells nothing."""
    try:
        told: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        told = None
    fields: Mapping[str, Any] = told if isinstance(told, dict) else {}
    models = fields.get("unpriced")
    counts: dict[object, object] = models if isinstance(models, dict) else {}
    number = fields.get("unattributed")
    error = fields.get("last_error")
    return {
        "unpriced": {str(k): v for k, v in counts.items() if isinstance(v, int)},
        "unattributed": number if isinstance(number, int) else 0,
        "last_error": error if isinstance(error, dict) else None,
    }


def read_all(state_dir: Path) -> dict[str, dict[str, Any]]:
    """Return what is told of each backend."""
    return {path.stem: read(path) for path in sorted((state_dir / STATUS).glob("*.json"))}
