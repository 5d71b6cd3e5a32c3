"""`Engine.catalog`: a catalog file, and the definitions in the database."""

from __future__ import annotations

from pathlib import Path

from tokenmeter.engine.catalog import Change, apply, entries_of, plan
from tokenmeter.engine.catalog_file import CatalogFile, load
from tokenmeter.engine.catalog_local import LocalCatalog
from tokenmeter.engine.catalog_text import to_yaml
from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.store.protocol import Store


class Catalog:
    """
    The definitions of one environment: ``engine.catalog.apply("studio")``.

    A file, or the name of a bundled one; see docs/catalog.md.
    """

    def __init__(
        self, store: Store, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self.target = LocalCatalog(store, environment, clock=clock)

    def plan(self, source: str | Path | CatalogFile, *, prune: bool = False) -> list[Change]:
        """List what applying a file would change."""
        return plan(_read(source), self.target, prune=prune)

    def apply(self, source: str | Path | CatalogFile, *, prune: bool = False) -> list[Change]:
        """Bring the definitions to what a file says; return what was changed."""
        changes = self.plan(source, prune=prune)
        apply(changes, self.target)
        return changes

    def export(self, name: str = "exported") -> str:
        """Write the definitions as the text of a catalog file."""
        return to_yaml(name, entries_of(self.target))


def _read(source: str | Path | CatalogFile) -> CatalogFile:
    return source if isinstance(source, CatalogFile) else load(source)
