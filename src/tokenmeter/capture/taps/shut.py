"""
A reader that shuts the socket under its own answer, so that a read in another thread ends.

The read then fails as it does when the provider breaks off; only who shut it tells them apart.
PydanticAI stops streams of Bedrock so.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import wrapt

Left = Callable[[], None]


class WatchedConnection(wrapt.ObjectProxy[Any]):
    """The connection of an answer; `left` is called before its socket is shut for reading."""

    def __init__(self, connection: Any, left: Left) -> None:
        super().__init__(connection)
        self._self_left = left

    @property
    def sock(self) -> Any:
        """Its socket, if it has one by now."""
        found = self.__wrapped__.sock
        return None if found is None else WatchedSocket(found, self._self_left)


class WatchedSocket(wrapt.ObjectProxy[Any]):
    """The socket of an answer."""

    def __init__(self, found: Any, left: Left) -> None:
        super().__init__(found)
        self._self_left = left

    def shutdown(self, how: int) -> None:
        """Shut it; one that is shut for writing alone is read on."""
        if how != socket.SHUT_WR:
            self._self_left()
        self.__wrapped__.shutdown(how)
