"""The backend that keeps events in the local engine's database, SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from tokenmeter.config import make_state_directory, state_directory
from tokenmeter.delivery.protocol import Receipt, TransientError
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.opening import is_server
from tokenmeter.engine.store.sqlite import database_path
from tokenmeter.errors import StoreError
from tokenmeter.event import Event


class LocalBackend:
    """
    ``LocalBackend("sqlite:///usage.db")``: events go into the database, `engine` answers.

    A wrong URL or a file that cannot be opened raises here, not at the first event.
    """

    def __init__(self, url: str) -> None:
        path = None if is_server(url) else database_path(url)
        if path is not None and path.parent == state_directory():
            make_state_directory()
        self.engine: Engine = Engine(url)

    def send(self, events: Sequence[Event]) -> Receipt:
        """Store a batch; a locked or full disk is a matter for later (TransientError)."""
        try:
            return self.engine.ingest(events)
        except StoreError as error:
            raise TransientError(str(error)) from error

    def close(self) -> None:
        """Close the database."""
        self.engine.close()
