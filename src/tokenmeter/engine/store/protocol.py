"""What the services need of a database."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection as Connection

    from tokenmeter.engine.store.interning import Interned
    from tokenmeter.engine.store.keys import Tails
    from tokenmeter.engine.store.rows import Labels, LabelSet


class Store(Protocol):
    """An open database; threads may share it, and a fork is safe."""

    name: str
    names: Interned[str]
    labels: Interned[LabelSet]
    combinations: Interned[Labels]
    tails: Tails
    plan: object  # what `engine.rollups` remembers of the meters that are counted

    def writing(self) -> AbstractContextManager[Connection]:
        """Give a connection that may write; what it did is committed at the end, or undone."""
        ...

    def ingesting(self) -> AbstractContextManager[Connection]:
        """Give a connection as `writing` does, to one ingest at a time, in all processes."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection on which every statement sees the same moment."""
        ...

    @property
    def moved(self) -> bool:
        """Whether nobody will ever read what is written now: its file was deleted or replaced."""
        ...

    def close(self) -> None:
        """Let go of the database; a use after this opens it again."""
        ...
