"""The proxies in front of us that are trusted: whoever else sends a header may have forged it."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from functools import lru_cache

from tokenmeter.asgi.incoming import Incoming
from tokenmeter.errors import ConfigurationError

log = logging.getLogger("tokenmeter")

UNIX = "unix"  # stands for whoever reaches the server's socket in the file system
PEERS_KNOWN_MAX = 4096
_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Tells whether one of them sent a request; raises ConfigurationError for what is none."""

    def __init__(self, named: Iterable[str]) -> None:
        if not _is_list(named):
            raise ConfigurationError(
                f"trusted_proxies={named!r} is no list; use such as ['10.0.0.0/8']"
            )
        names = [str(name) for name in named]
        self._unix = UNIX in names
        self._networks = tuple(_network(name) for name in names if name != UNIX)
        self._knows = lru_cache(maxsize=PEERS_KNOWN_MAX)(self._find)
        self._warned = False

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def sent(self, request: Incoming) -> bool:
        """Say whether a request comes from one of them, and not from who says so."""
        peer = request.client
        if not peer:
            return self._unix and _is_unix(request)
        if not self._knows(peer):
            return False
        if not _is_said(request):
            return True
        if not self._warned:
            self._warned = True
            log.warning(
                "tokenmeter: the server puts what X-Forwarded-For says in place of the peer's "
                "address, so no header is trusted; start uvicorn with --no-proxy-headers"
            )
        return False

    def _find(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # So a socket of both families shows an IPv4 address.
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network or address in network for network in self._networks)


def _is_list(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, str | bytes)


def _is_unix(request: Incoming) -> bool:
    """Whether the server listens in the file system: ASGI gives its path, and no port."""
    server = request.scope.get("server")
    return server is not None and bool(server[0]) and server[1] is None


def _is_said(request: Incoming) -> bool:
    """Whether a server took the peer's address from a header: then anybody may have written it."""
    said = [value for name in _FORWARDED for value in request.values(name)]
    if not said:
        return False
    host, port = request.scope["client"][:2]
    if not port:  # of a connection there is one; headers seldom name it
        return True
    places = {f"{host}:{port}", f"[{host}]:{port}"}
    return any(part.strip() in places for value in said for part in value.split(","))


def _network(proxy: str) -> Network:
    try:
        return ipaddress.ip_network(proxy)
    except ValueError as error:
        raise ConfigurationError(
            f"trusted_proxies names {proxy!r}, which is no address or network; use '10.0.0.0/8', "
            "or 'unix' for a server that listens in the file system"
        ) from error
