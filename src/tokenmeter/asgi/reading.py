"""What reads an answer of the application's, where no upstream call of it is seen."""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.asgi.asked import Asked
from tokenmeter.asgi.asking import Asking
from tokenmeter.attribution import current_scope, entered
from tokenmeter.capture.exchange import SUCCESS, Exchange
from tokenmeter.capture.headers import Headers
from tokenmeter.capture.opening import open_exchange
from tokenmeter.capture.whole import kept_at_once


def opened(asking: Asking) -> Exchange | None:
    """Open the exchange that reads an answer; None if no provider bills the request."""
    asked = Asked(asking.request, asking.route, asking.body.known)
    if current_scope() is asking.scope:
        own = open_exchange(asking.meter, asked, edits=False)
    else:  # the application answers from a task of its own
        with entered(asking.scope):
            own = open_exchange(asking.meter, asked, edits=False)
    if own is not None:
        model = own.call.request_model
        told = model is not None and model not in asking.route.path  # so a body was read
        if not told and not asked.is_readable:
            unread = {**own.call.dimensions, "request_body": "unreadable"}
            own.call = replace(own.call, dimensions=unread)
    return own


def kept_whole(asking: Asking, status: int, headers: Headers, data: bytes) -> bool:
    """Meter an answer that is here whole, without an exchange; False if it takes one."""
    scope = asking.scope
    if status != SUCCESS or b"content-encoding" in headers.known or current_scope() is not scope:
        return False
    asked = Asked(asking.request, asking.route, asking.body.known)
    return kept_at_once(asking.meter, scope, asked, headers, data)
