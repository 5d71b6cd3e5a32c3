"""Taps nest (a wrapped client, httpx2 over aiohttp): only the outermost opens an exchange."""

from __future__ import annotations

from contextvars import ContextVar

# The URL of the exchange being sent in this context. Another URL is another exchange: an
# in-process gateway calls its upstream inside our send.
_sending: ContextVar[str | None] = ContextVar("tokenmeter_sending", default=None)

sending = _sending.get
enter = _sending.set
leave = _sending.reset
