"""
A call that is over when it is first seen: its request, and its whole answer, of the usual form.

A gateway that has no tap sees most calls so. Nobody can see such a call under way, and none of
what an `Exchange` does for one that is (wait, be cut off, be remembered if the process dies) is
there: it is an attempt and its event. `Exchange` is the rule; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from tokenmeter.attribution import Scope
from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.opening import Outgoing, known_call, retry_count
from tokenmeter.capture.plain import are_plain, plain_event
from tokenmeter.capture.requests import Sent
from tokenmeter.capture.sink import Sink
from tokenmeter.providers.base import Call


class _Whole:
    """As plain_event takes it."""

    __slots__ = ("attempt", "call", "scope", "sink")
    event_id = None  # nobody has asked for it

    def __init__(self, sink: Sink, scope: Scope, call: Call, outgoing: Outgoing) -> None:
        self.sink, self.scope, self.call = sink, scope, call
        sent = _unrepeated(retry_count(outgoing.headers))
        self.attempt = Attempt(scope, sent, sink.key, window_s=sink.policy.retry_window_s)


@lru_cache
def _unrepeated(retries: int) -> Sent:
    """What was sent, to an attempt of which nobody asks it: it succeeded, and leaves no note."""
    return Sent("", "", b"", None, retries)


def kept_at_once(
    sink: Sink, scope: Scope, outgoing: Outgoing, headers: Mapping[str, str], body: bytes
) -> bool:
    """
    Keep the event of a call that succeeded with this body; False: it takes an `Exchange`.

    Only where `scope` is the current one, and no other is around it.
    """
    if scope.outer is not None or scope.notes or not are_plain(sink, scope):
        return False
    call = known_call(sink, outgoing, edits=False)
    if call is None or call.repeated or call.api.plain is None:
        return False
    answer = call.api.plain(body, call)
    if answer is None:
        return False
    scope.observed += 1
    try:
        whole = _Whole(sink, scope, call, outgoing)
        sink.keep(plain_event(whole, answer, headers.get("date")), scope)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not reach the user
        sink.fault(error)
    return True
