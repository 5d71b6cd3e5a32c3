"""A client's Idempotency-Key makes one run: what comes again is a retry of what came before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from tokenmeter.asgi.identity import Identity
from tokenmeter.asgi.incoming import Incoming
from tokenmeter.attribution import Attribution, Run, Scope

IDEMPOTENCY_HEADER = "idempotency-key"
KEYS_MAX = 10_000  # remembered, the oldest is forgotten first
KEY_CHARS_MAX = 256


class Replays:
    """
    Keeps, per customer and key, the scope in which attempts find the one that they repeat.

    The run's id follows from both, so it is the same in every process; that a later attempt is
    a retry is known where the earlier one ran.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Scope] = OrderedDict()

    def of(self, identity: Identity, request: Incoming, key: str) -> Scope | None:
        """Return the scope that all requests with this key share; None if the key is no key."""
        if not 0 < len(key) <= KEY_CHARS_MAX:
            return None
        # Clients that nobody knows are told by their key, or address: none joins another's run.
        who = identity.customer or f"\n{request.api_key or request.client or ''}"
        named = f"{who}\n{key}".encode("utf-8", "surrogateescape")
        run_id = "run_" + hashlib.blake2b(named, digest_size=16).hexdigest()
        scope = self._kept.pop(run_id, None)
        if scope is None:
            attribution = Attribution(identity.customer, identity.feature)
            scope = Scope(None, attribution, Run(run_id))
            scope.keeps_notes = True
        self._kept[run_id] = scope
        if len(self._kept) > KEYS_MAX:
            self._kept.popitem(last=False)
        return scope
