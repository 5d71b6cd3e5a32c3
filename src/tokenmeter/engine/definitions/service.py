"""The definitions of one environment: `Definitions(store, environment)`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import replace

from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.customers import check_free
from tokenmeter.engine.definitions.kinds import KINDS
from tokenmeter.engine.definitions.pages import Listed, page_in
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import ARCHIVED, DELETED, Body, Registry, shown
from tokenmeter.engine.definitions.search import Listing, Search
from tokenmeter.engine.definitions.versions import change_price, end_price
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.protocol import Store

BULK_MAX = 100

# Fields that are texts wherever a definition has them: the database compares them.
TEXTS = frozenset(
    {
        *("id", "lookup_key", "external_id", "name", "email", "event_name", "currency", "type"),
        *("entity_type", "entity_id", "meter_id", "feature_id", "plan_id", "billing_period"),
        *("code", "scope", "subscription_id", "parent_price_id"),
    }
)


class Definitions:
    """
    Create, read, change and retire definitions; each call is one transaction.

    A kind is `meter`, `feature`, `customer`, `plan`, `price`, `price_unit`, `entitlement`,
    `credit_grant` or `costsheet`. Fields and bodies have Flexprice's names; what it refuses
    raises an error that carries its code.
    """

    def __init__(self, store: Store, environment: str = "", now: Clock = system_clock) -> None:
        self._store = store
        self._environment = environment
        self._now = now

    def create(self, kind: str, fields: Fields) -> Body:
        """Create one definition."""
        return self.create_many(kind, [fields])[0]

    def create_many(self, kind: str, several: Iterable[Fields]) -> list[Body]:
        """Create several definitions, or none of them if one is refused."""
        wanted = list(several)
        if not 0 < len(wanted) <= BULK_MAX:
            raise ValidationError(f"items: send 1 to {BULK_MAX} at once.")
        with self._writing() as registry:
            made = [registry.create(KINDS[kind], fields) for fields in wanted]
            return [self._expanded(registry, document) for document in made]

    def get(self, kind: str, id: str) -> Body:  # noqa: A002 - the field's name
        """Return one definition by its id."""
        with self._reading() as registry:
            return self._expanded(registry, registry.get(kind, id))

    def by_key(self, kind: str, key: str) -> Body:
        """Return one by its lookup key: a customer by external id, a price unit by code."""
        with self._reading() as registry:
            return self._expanded(registry, registry.by_key(kind, key))

    def update(self, kind: str, id: str, fields: Fields) -> Body:  # noqa: A002
        """Change one definition; a price whose amount changes gets a new version."""
        with self._writing() as registry:
            document = registry.get(kind, id)
            if kind == "price":
                return self._expanded(registry, change_price(registry, document, fields))
            return self._expanded(registry, registry.update(KINDS[kind], document, fields))

    def delete(self, kind: str, id: str, fields: Fields | None = None) -> None:  # noqa: A002
        """
        Delete one definition softly; a price ends at `end_date`, or now.

        A customer with a subscription or an active wallet stays.
        """
        with self._writing() as registry:
            document = registry.get(kind, id)
            if kind == "price":
                end = reading.moment(fields or {}, "end_date") or registry.now
                end_price(registry, document, end)
                return
            if kind == "customer":
                check_free(registry, document)
            registry.retire(document, DELETED)

    def archive(self, kind: str, id: str) -> Body:  # noqa: A002 - the field's name
        """Take one definition out of use; it can still be read."""
        with self._writing() as registry:
            return shown(registry.retire(registry.get(kind, id), ARCHIVED))

    def search(self, kind: str, search: Search | None = None) -> Listing:
        """Return a page of definitions."""
        wanted = search or Search()
        with self._reading() as registry:
            page = page_in(registry.documents, Listed(kind, TEXTS), wanted, shown)
            expand = KINDS[kind].expand
            if expand is None or not wanted.expand:
                return page
            return replace(page, items=tuple(expand(registry, body) for body in page.items))

    def all(self, kind: str) -> list[Body]:
        """Return every published definition of a kind, the oldest first."""
        with self._reading() as registry:
            return [shown(document) for document in registry.documents.all(kind)]

    def _expanded(self, registry: Registry, document: Document) -> Body:
        expand = KINDS[document.kind].expand
        body = shown(document)
        return body if expand is None else expand(registry, body)

    @contextlib.contextmanager
    def _reading(self) -> Generator[Registry, None, None]:
        with self._store.reading() as connection:
            yield Registry(Documents(connection, self._environment), self._now())

    @contextlib.contextmanager
    def _writing(self) -> Generator[Registry, None, None]:
        with self._store.writing() as connection:
            yield Registry(Documents(connection, self._environment), self._now())
