"""What is remembered of a call while it is under way, in case the process dies."""

from __future__ import annotations

import time
from json.encoder import encode_basestring_ascii as quoted

from tokenmeter.attribution import NO_ATTRIBUTION, UNATTRIBUTED, Scope
from tokenmeter.capture.attempts import Attempt
from tokenmeter.providers.base import Call


def opened_line(call: Call, attempt: Attempt, scope: Scope | None) -> bytes:
    """Write who asks for what, as `delivery.opencalls` keeps it: no prompt, one JSON object."""
    attribution = NO_ATTRIBUTION if scope is None else scope.attribution
    run = None if scope is None else scope.run
    facts = {
        "request_model": call.request_model,
        "feature": attribution.feature,
        "environment": attribution.environment,
        "run_id": None if run is None else run.run_id,
    }
    known = "".join(f",{quoted(name)}:{quoted(text)}" for name, text in facts.items() if text)
    name = (None if scope is None else scope.event_name) or call.api.event_name
    return (
        f'{{"event_name":{quoted(name)},"customer":{quoted(attribution.customer or UNATTRIBUTED)}'
        f',"opened_at":{time.time():.3f},"properties":{{"provider":{quoted(call.provider)}'
        f',"operation":{quoted(call.api.operation)},"call_id":{quoted(attempt.call_id)}'
        f',"attempt":{attempt.number}{known}}}}}'
    ).encode()
