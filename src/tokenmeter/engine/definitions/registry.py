"""The definitions of one environment within one transaction: make, find, change, show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import NotFoundError, ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.store.documents import PUBLISHED, Document, Documents
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.event import timestamp_text

Body = dict[str, Any]

DELETED = "deleted"
ARCHIVED = "archived"
TENANT = "tenant_local"  # there is one tenant to a database
DEFAULT_ENVIRONMENT = "default"  # how the unnamed environment is written


@dataclass(frozen=True, slots=True)
class Draft:
    """A definition that has been checked: what its document will hold."""

    body: Body
    lookup_key: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of definition: how it is called, made from fields and changed by fields."""

    name: str  # of its documents: "price_unit"
    prefix: str  # of its ids
    make: Callable[[Registry, Fields], Draft]
    change: Callable[[Registry, Document, Fields], Draft]
    expand: Callable[[Registry, Body], Body] | None = None  # adds what a single answer shows


@dataclass(frozen=True, slots=True)
class Registry:
    """What making and changing a definition needs: the others, and the time."""

    documents: Documents
    now: datetime

    def create(self, kind: Kind, fields: Fields) -> Document:
        """Check a definition and keep it."""
        draft = kind.make(self, fields)
        now_us = microseconds(self.now)
        return self.documents.insert(
            Document(
                kind.name,
                new_id(kind.prefix),
                draft.body,
                lookup_key=draft.lookup_key,
                parent=draft.parent,
                created_us=now_us,
                updated_us=now_us,
            )
        )

    def update(self, kind: Kind, document: Document, fields: Fields) -> Document:
        """Check a change and keep it."""
        return self.put(document, kind.change(self, document, fields))

    def put(self, document: Document, draft: Draft) -> Document:
        """Give a document another body."""
        return self.documents.replace(
            replace(
                document,
                body=draft.body,
                lookup_key=draft.lookup_key,
                parent=draft.parent,
                updated_us=microseconds(self.now),
            )
        )

    def retire(self, document: Document, status: str) -> Document:
        """Give a document another status; its lookup key is free from now on."""
        changed = replace(document, status=status, updated_us=microseconds(self.now))
        return self.documents.replace(changed)

    def get(self, kind: str, id: str) -> Document:  # noqa: A002 - the field's name
        """Return a document that was not deleted; NotFoundError if there is none."""
        found = self.documents.find(kind, id)
        if found is None or found.status == DELETED:
            raise NotFoundError(f"There is no {kind} {id!r}.")
        return found

    def by_key(self, kind: str, lookup_key: str) -> Document:
        """Return the published document with a lookup key; NotFoundError if there is none."""
        found = self.documents.by_lookup_key(kind, lookup_key)
        if found is None:
            raise NotFoundError(f"There is no {kind} {lookup_key!r}.")
        return found

    def referred(self, kind: str, reference: str, field: str) -> Document:
        """Find what a field refers to, by id or lookup key; ValidationError if there is none."""
        found = self.documents.find(kind, reference)
        if found is None or found.status != PUBLISHED:
            found = self.documents.by_lookup_key(kind, reference)
        if found is None:
            raise ValidationError(f"{field}: there is no {kind} {reference!r}.")
        return found


def shown(document: Document) -> Body:
    """Write a document as Flexprice's entity."""
    return {
        "id": document.id,
        **document.body,
        "tenant_id": TENANT,
        "environment_id": environment_id(document.environment),
        "status": document.status,
        "created_at": timestamp_text(moment(document.created_us)),
        "updated_at": timestamp_text(moment(document.updated_us)),
    }


def environment_id(environment: str) -> str:
    """Write the name of an environment; the unnamed one is `default`."""
    return environment or DEFAULT_ENVIRONMENT


def changed(document: Document, changes: Mapping[str, Any]) -> Draft:
    """Return the draft of a document with some fields changed."""
    return Draft({**document.body, **changes}, document.lookup_key, document.parent)
