"""The AI gateway's middleware: ``from tokenmeter.asgi import TokenMeterMiddleware``."""

from __future__ import annotations

from tokenmeter.asgi.identity import ApiKeys, Identity
from tokenmeter.asgi.incoming import Incoming
from tokenmeter.asgi.middleware import TokenMeterMiddleware

__all__ = ["ApiKeys", "Identity", "Incoming", "TokenMeterMiddleware"]
