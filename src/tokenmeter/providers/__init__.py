"""The registry: which adapter reads which exchange."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module

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
    """Load the adapters, when the first is needed: `import tokenmeter` stays light."""
    return tuple(import_module(f"{__name__}.{name}").ADAPTER for name in REGISTRY)


# The modules of our adapters, one line each. The first that owns a host reads it: OpenAI's takes
# the hosts of Cohere and AWS that those before it leave.
REGISTRY = (
    "bedrock",
    "cohere",
    "ollama",
    "databricks",
    "openai",
    "anthropic",
    "google",
    "byteplus",
    "kling",
    "muapi",
    "marble",
    "happyhorse",
    "bfl",
    "fal",
    "replicate",
    "runway",
    "luma",
    "minimax",
    "alibaba",
    "voices",
    "gateways",
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
