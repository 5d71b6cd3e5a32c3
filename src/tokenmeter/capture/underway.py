"""What is remembered of a call while it is under way, in case the process dies."""

from __future__ import annotations

import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from tokenmeter.attribution import UNATTRIBUTED, Scope
from tokenmeter.capture.attempts import Attempt
from tokenmeter.providers.base import Call


def opened_line(call: Call, attempt: Attempt, scope: Scope | None) -> bytes:
    """Write who asks for what, as `delivery.opencalls` keeps it: no prompt, one JSON object."""
    api, attribution = call.api, attempt.attribution
    known = _known(
        (None if scope is None else scope.event_name) or api.event_name,
        attribution.customer or UNATTRIBUTED,
        (call.provider, api.operation, call.request_model),
        attribution.feature,
        attribution.environment,
    )
    run_id = attempt.run_id
    run = "" if run_id is None else f',"run_id":{quoted(run_id)}'
    return (
        f'{known},"call_id":"{attempt.call_id}","attempt":{attempt.number}{run}}}'
        f',"opened_at":{time.time():.3f}}}'
    ).encode()


@lru_cache(maxsize=1024)
def _known(
    name: str,
    customer: str,
    asked: tuple[str, str, str | None],
    feature: str | None,
    environment: str | None,
) -> str:
    """Write what many calls have in common."""
    provider, operation, request_model = asked
    facts = {"request_model": request_model, "feature": feature, "environment": environment}
    more = "".join(f",{quoted(name)}:{quoted(text)}" for name, text in facts.items() if text)
    return (
        f'{{"event_name":{quoted(name)},"customer":{quoted(customer)},"properties":'
        f'{{"provider":{quoted(provider)},"operation":{quoted(operation)}{more}'
    )
