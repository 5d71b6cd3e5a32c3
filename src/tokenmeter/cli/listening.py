"""Where `tokenmeter serve` listens: bound before anything is made, so a mistake costs nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Generator

from tokenmeter.errors import ConfigurationError


@contextlib.contextmanager
def listening(host: str, port: int) -> Generator[list[socket.socket]]:
    """
    Bind every address of the host, the same port on each; 0 takes a free one.

    The sockets are of TCP by name: asyncio sends small packets at once on such only.
    """
    with contextlib.ExitStack() as opened:
        bound: list[socket.socket] = []
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            ):
                made = opened.enter_context(socket.socket(family, kind, protocol))
                chosen = port_of(bound) if bound else port
                _bind(made, (address[0], chosen, *address[2:]))
                bound.append(made)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen at {host}:{port} ({error.strerror or error}); "
                "name another --host or --port"
            ) from error
        yield bound


def port_of(bound: list[socket.socket]) -> int:
    """Return the port that bound sockets listen at."""
    port: int = bound[0].getsockname()[1]
    return port


def _bind(made: socket.socket, address: tuple[object, ...]) -> None:
    if os.name == "posix":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(address)
