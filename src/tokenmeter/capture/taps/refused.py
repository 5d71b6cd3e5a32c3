"""The answer to a call that was refused: as if its provider had said so."""

from __future__ import annotations

import sys
from typing import Any

from tokenmeter.capture.refusal import Dialect, Refusal
from tokenmeter.providers.base import Call

_DIALECTS: dict[str, Dialect] = {"messages": "anthropic", "messages.batches": "anthropic"}
_GOOGLE = frozenset({"google", "google-vertex"})


def refused(refusal: Refusal, call: Call, request: Any) -> Any:
    """Build a response of the request's own library (httpx or httpx2)."""
    library = sys.modules[type(request).__module__.partition(".")[0]]
    dialect = _DIALECTS.get(call.api.operation, "openai")
    if call.provider in _GOOGLE and not call.api.operation.startswith("chat"):
        dialect = "google"
    return library.Response(
        refusal.status,
        headers=refusal.headers(),
        content=refusal.body(dialect),
        request=request,
    )
