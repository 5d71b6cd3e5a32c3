"""The backend that keeps events in the local engine's database, SQLite or PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tokenmeter.config import file_url, make_state_directory, state_directory
from tokenmeter.delivery.protocol import Receipt, TransientError
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.opening import is_server
from tokenmeter.engine.store.sqlite import database_path
from tokenmeter.errors import ConfigurationError, StoreError
from tokenmeter.event import Event

_BESIDE = ("-wal", "-shm")  # of a database: what belongs to it is of no use to another
_logger = logging.getLogger("tokenmeter.engine")


class LocalBackend:
    """
    ``LocalBackend("sqlite:///usage.db")``: events go into the database, `engine` answers.

    A wrong URL or a file that cannot be opened raises here, not at the first event.
    """

    batch_events_max = 1_000  # of one transaction: what each costs of itself is shared by more

    def __init__(self, url: str) -> None:
        path = None if is_server(url) else database_path(url)
        if path is not None and path.parent == state_directory():
            make_state_directory()
        self.engine: Engine = Engine(url)
        self._path = path if path is None else path.absolute()

    def send(self, events: Sequence[Event]) -> Receipt:
        """Store a batch; a locked or full disk is a matter for later (TransientError)."""
        try:
            if self._path is not None and self.engine.store.moved:
                self._follow(self._path)
            return self.engine.ingest(events)
        except (StoreError, ConfigurationError) as error:
            raise TransientError(str(error)) from error

    def _follow(self, path: Path) -> None:
        """Go on in the file that stands there now: nobody would ever read what ours takes."""
        left = [f"{path.name}{end}" for end in _BESIDE if Path(f"{path}{end}").exists()]
        if left and not path.exists():
            raise StoreError(
                f"{path} was deleted while it was in use; delete {' and '.join(left)}, too, "
                "or restart"
            )
        _logger.warning("%s was deleted or replaced; events go to the file there now", path)
        self.engine.close()  # first: another database must not meet its connections
        self.engine = Engine(file_url(path))

    def close(self) -> None:
        """Close the database."""
        self.engine.close()
