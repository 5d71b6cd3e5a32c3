"""The services behind the routes: one office for the server, one desk for each environment."""

from __future__ import annotations

from dataclasses import dataclass

from tokenmeter.engine.clock import Clock
from tokenmeter.engine.definitions.service import Definitions
from tokenmeter.engine.keys import ApiKeys
from tokenmeter.engine.local import Engine


@dataclass(frozen=True, slots=True)
class Desk:
    """What a key may use: the services of its environment, and of no other."""

    engine: Engine
    keys: ApiKeys
    environment: str
    now: Clock

    @property
    def definitions(self) -> Definitions:
        """Meters, plans, prices, customers, ..."""
        return Definitions(self.engine.store, self.environment, self.now)


@dataclass(frozen=True, slots=True)
class Office:
    """What the whole server uses."""

    engine: Engine
    keys: ApiKeys
    now: Clock

    def desk(self, environment: str) -> Desk:
        """Return the services of one environment."""
        return Desk(self.engine, self.keys, environment, self.now)
