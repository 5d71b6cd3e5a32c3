"""The registry: which adapter reads which exchange."""

from __future__ import annotations

from functools import lru_cache

from tokenmeter.providers import anthropic, google, openai
from tokenmeter.providers.base import Adapter, Api, Call, Part, Reading, Request

__all__ = ["Adapter", "Api", "Call", "Part", "Reading", "Request", "find"]

ADAPTERS: tuple[Adapter, ...] = (
    openai.ADAPTER,
    anthropic.ADAPTER,
    google.ADAPTER,
)
_BY_HOST = {host: adapter for adapter in ADAPTERS for host in adapter.hosts}


@lru_cache(maxsize=1024)
def by_host(host: str) -> Adapter | None:
    """Return the adapter that owns this host, if one does."""
    known = _BY_HOST.get(host)
    if known is not None:
        return known
    for adapter in ADAPTERS:
        if any(host.endswith(suffix) for suffix in adapter.host_suffixes):
            return adapter
    return None


def find(host: str, path: str) -> Adapter | None:
    """Return the adapter for an exchange: by its host, else by a known path under any host."""
    known = by_host(host)
    if known is not None:
        return known
    for adapter in ADAPTERS:
        if adapter.paths is not None and adapter.paths.search(path):
            return adapter
    return None
