"""The registry: which adapter reads which exchange."""

from __future__ import annotations

from functools import cache, lru_cache

from tokenmeter.providers.base import Adapter, Api, Call, Part, Reading, Request

__all__ = [
    "Adapter",
    "Api",
    "Call",
    "Part",
    "Reading",
    "Request",
    "adapters",
    "find",
    "register",
]

_plugged: list[Adapter] = []  # of installed packages; asked after ours


def register(adapter: Adapter) -> None:
    """Add a plug-in's adapter for this process; what ours know stays theirs."""
    _plugged.append(adapter)
    by_host.cache_clear()


def adapters() -> tuple[Adapter, ...]:
    """Return all adapters in the order in which they are asked."""
    return (*_ours(), *_plugged) if _plugged else _ours()


@cache
def _ours() -> tuple[Adapter, ...]:
    """Load the adapters. The first that owns a host reads it."""
    from tokenmeter.providers import (  # here to keep `import tokenmeter` light
        alibaba,
        anthropic,
        bedrock,
        bfl,
        byteplus,
        cohere,
        fal,
        google,
        happyhorse,
        kling,
        luma,
        marble,
        minimax,
        muapi,
        openai,
        replicate,
        runway,
    )

    # OpenAI's adapter takes Cohere's and AWS's other hosts.
    return (
        bedrock.ADAPTER,
        cohere.ADAPTER,
        openai.ADAPTER,
        anthropic.ADAPTER,
        google.ADAPTER,
        byteplus.ADAPTER,
        kling.ADAPTER,
        muapi.ADAPTER,
        marble.ADAPTER,
        happyhorse.ADAPTER,
        bfl.ADAPTER,
        fal.ADAPTER,
        replicate.ADAPTER,
        runway.ADAPTER,
        luma.ADAPTER,
        minimax.ADAPTER,
        alibaba.ADAPTER,
    )


@lru_cache(maxsize=1024)
def by_host(host: str) -> Adapter | None:
    """Return the adapter that owns this host, if one does."""
    return next((adapter for adapter in adapters() if adapter.owns(host)), None)


def find(host: str, path: str) -> Adapter | None:
    """Return the adapter for an exchange: by its host, else by a known path under any host."""
    known = by_host(host)
    if known is not None:
        return known
    for adapter in adapters():
        if adapter.paths is not None and adapter.paths.search(path):
            return adapter
    return None
