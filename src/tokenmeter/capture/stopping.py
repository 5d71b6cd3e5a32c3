"""
Stop a call at the tap, to see what it would ask for: nothing is sent, nothing is recorded.

The stop is a BaseException: an Exception would be retried and wrapped by the SDKs.
"""

from __future__ import annotations

from tokenmeter.attribution import Attribution, Scope
from tokenmeter.providers.base import Call, Json


class CallStopped(BaseException):
    """A previewed call reached the tap; tokenmeter.preview_call catches this."""

    def __init__(self, call: Call, body: Json, attribution: Attribution) -> None:
        super().__init__("previewed")
        self.call = call
        self.body = body
        self.attribution = attribution  # of the scope in which the call was made


def stop_if_previewed(scope: Scope | None, call: Call, body: Json) -> None:
    """Raise CallStopped inside a preview."""
    if scope is not None and scope.previews:
        raise CallStopped(call, body, scope.attribution)
