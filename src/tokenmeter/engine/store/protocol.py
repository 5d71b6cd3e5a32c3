"""What the services need of a database."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Store(Protocol):
    """An open database; threads may share it."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Give a connection that may write; what it did is committed at the end, or undone."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection on which every statement sees the same moment."""
        ...
