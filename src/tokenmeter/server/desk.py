"""The services behind the routes: one office for the server, one desk for each environment."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tokenmeter.engine.clock import Clock
from tokenmeter.engine.definitions.service import Definitions
from tokenmeter.engine.errors import DatabaseMovedError
from tokenmeter.engine.keys import ApiKeys
from tokenmeter.engine.lacking import Lacking
from tokenmeter.engine.local import Engine
from tokenmeter.engine.services import Services


@dataclass(frozen=True, slots=True)
class Desk:
    """What a key may use: the services of its environment, and of no other."""

    engine: Engine
    keys: ApiKeys
    environment: str
    services: Services
    lacking: Lacking
    now: Clock

    @property
    def definitions(self) -> Definitions:
        """Meters, plans, prices, customers, ..."""
        return self.services.definitions


class Office:
    """What the whole server uses; the services of an environment are made once."""

    def __init__(self, engine: Engine, now: Clock) -> None:
        self.engine = engine
        self.keys = ApiKeys(engine.store, now)
        self._now = now
        self._lock = threading.Lock()
        self._desks: dict[str, Desk] = {}  # as many as there are environments with keys

    def check_database(self) -> None:
        """Refuse a request whose work nobody would ever see."""
        store = self.engine.store
        if store.moved:
            raise DatabaseMovedError(
                f"{store.name} was deleted or replaced while this server had it open; "
                "put it back, or restart the server"
            )

    def desk(self, environment: str) -> Desk:
        """Return the services of one environment."""
        with self._lock:
            desk = self._desks.get(environment)
            if desk is None:
                services = Services(self.engine.store, environment, clock=self._now)
                lacking = Lacking(services.definitions)
                desk = Desk(self.engine, self.keys, environment, services, lacking, self._now)
                self._desks[environment] = desk
        return desk

    def close(self) -> None:
        """Pass on the alerts that wait."""
        with self._lock:
            for desk in self._desks.values():
                desk.services.close()
            self._desks.clear()
