"""The registry: which adapter reads which exchange."""

from __future__ import annotations

from functools import lru_cache

from tokenmeter.providers import anthropic, bedrock, cohere, google, openai
from tokenmeter.providers.base import Adapter, Api, Call, Part, Reading, Request

__all__ = ["Adapter", "Api", "Call", "Part", "Reading", "Request", "find", "register"]

# The first that owns a host reads it: OpenAI's adapter takes Cohere's and AWS's other hosts.
ADAPTERS: tuple[Adapter, ...] = (
    bedrock.ADAPTER,
    cohere.ADAPTER,
    openai.ADAPTER,
    anthropic.ADAPTER,
    google.ADAPTER,
)
_plugged: list[Adapter] = []  # of installed packages; asked after ours


def register(adapter: Adapter) -> None:
    """Add a plug-in's adapter for this process; what ours know stays theirs."""
    _plugged.append(adapter)
    by_host.cache_clear()


@lru_cache(maxsize=1024)
def by_host(host: str) -> Adapter | None:
    """Return the adapter that owns this host, if one does."""
    return next((adapter for adapter in (*ADAPTERS, *_plugged) if adapter.owns(host)), None)


def find(host: str, path: str) -> Adapter | None:
    """Return the adapter for an exchange: by its host, else by a known path under any host."""
    known = by_host(host)
    if known is not None:
        return known
    for adapter in (*ADAPTERS, *_plugged) if _plugged else ADAPTERS:
        if adapter.paths is not None and adapter.paths.search(path):
            return adapter
    return None
