"""URLs and headers of httpx, taken apart without asking it: that would be slow."""

from __future__ import annotations

from functools import lru_cache


def plain_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Decode headers once: asking httpx for one of them searches the whole list."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


@lru_cache(maxsize=1024)
def split(url: str) -> tuple[str, str, str]:
    """Split a URL into host, path and query."""
    _, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    host = authority.rpartition("@")[2]
    path, _, query = tail.partition("?")
    return host.lower(), slash + path, query.partition("#")[0]
