"""What is remembered of a call while it is under way, in case the process dies."""

from __future__ import annotations

import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from tokenmeter.attribution import UNATTRIBUTED, Scope
from tokenmeter.capture.attempts import Attempt
from tokenmeter.providers.base import Call

LINE_BYTES_MAX = 511  # what `delivery.opencalls` has room for


def opened_line(call: Call, attempt: Attempt, scope: Scope | None) -> bytes:
    """
    Write who asks for what, as `delivery.opencalls` keeps it: no prompt, one JSON object.

    Where there is no room for all of it, the tags go first; who pays for it stays.
    """
    attribution = attempt.attribution
    name = (None if scope is None else scope.event_name) or call.api.event_name
    customer = attribution.customer or UNATTRIBUTED
    asked = (call.provider, call.api.operation)
    owners = (
        ("request_model", call.request_model),
        ("feature", attribution.feature),
        ("environment", attribution.environment),
    )
    tags = tuple(attribution.tags.items()) if attribution.tags else ()
    line = _line(_known(name, customer, asked, owners, tags), attempt)
    if len(line) > LINE_BYTES_MAX:
        line = _line(_known(name, customer, asked, owners, ()), attempt)
    if len(line) > LINE_BYTES_MAX:
        line = _line(_known(name, customer, asked, (), ()), attempt, of_run=False)
    return line


def _line(known: str, attempt: Attempt, *, of_run: bool = True) -> bytes:
    run_id = attempt.run_id if of_run else None
    run = "" if run_id is None else f',"run_id":{quoted(run_id)}'
    return (
        f'{known},"call_id":"{attempt.call_id}","attempt":{attempt.number}{run}}}'
        f',"opened_at":{time.time():.3f}}}'
    ).encode()


@lru_cache(maxsize=1024)
def _known(
    name: str,
    customer: str,
    asked: tuple[str, str],
    owners: tuple[tuple[str, str | None], ...],
    tags: tuple[tuple[str, str], ...],
) -> str:
    """Write what many calls have in common."""
    provider, operation = asked
    facts = (*owners, *((f"tag_{tag}", value) for tag, value in tags))
    more = "".join(f",{quoted(fact)}:{quoted(text)}" for fact, text in facts if text)
    return (
        f'{{"event_name":{quoted(name)},"customer":{quoted(customer)},"properties":'
        f'{{"provider":{quoted(provider)},"operation":{quoted(operation)}{more}'
    )
