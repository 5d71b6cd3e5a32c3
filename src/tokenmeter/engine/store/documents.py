"""The definitions: one table of JSON documents, seen through one environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from tokenmeter.engine.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from tokenmeter.engine.store import rollups
from tokenmeter.engine.store.conditions import among
from tokenmeter.engine.store.schema import documents
from tokenmeter.engine.store.sql import PropertyText
from tokenmeter.rating.rounding import plain

PUBLISHED = "published"
PAGE_MAX = 1_000

Equal = Mapping[str, Sequence[str]]  # the texts that a field of the body, or `id`, may be
Sort = Literal["created_at", "updated_at", "id", "lookup_key"]
Order = Literal["asc", "desc"]

_SORTS: Mapping[str, ColumnElement[Any]] = {
    "created_at": documents.c.created_us,
    "updated_at": documents.c.updated_us,
    "id": documents.c.id,
    "lookup_key": documents.c.lookup_key,
}


def _written(value: object) -> str:
    """Write a decimal of a request that is kept as it was sent: as its text."""
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"a document cannot hold a {type(value).__name__}")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_written).encode


@dataclass(frozen=True, slots=True)
class Document:
    """
    One definition. `body` is JSON in Flexprice's field names, decimals as strings.

    A `lookup_key` is unique among the published documents of a kind. `parent` is what it hangs
    on: the plan of a price, the customer of a subscription.
    """

    kind: str
    id: str
    body: Mapping[str, Any]
    environment: str = ""
    lookup_key: str | None = None
    parent: str | None = None
    status: str = PUBLISHED  # published | archived | deleted
    created_us: int = 0
    updated_us: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents of a list, and how many the list has."""

    items: tuple[Document, ...]
    total: int


class Documents:
    """The documents of one environment, within the transaction of one connection."""

    def __init__(self, connection: Connection, environment: str = "") -> None:
        self._connection = connection
        self.environment = environment

    def insert(self, document: Document) -> Document:
        """Keep a new document; AlreadyExistsError if its id or lookup key is taken."""
        kept = replace(document, environment=self.environment)
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(documents), _row(kept))
        except IntegrityError as error:
            raise _taken(document) from error
        self._changed(document)
        return kept

    def replace(self, document: Document) -> Document:
        """
        Put a document in the place of its last version, and return it with the next version.

        VersionConflictError if the stored one is not of `document.version` any more.
        """
        kept = replace(document, environment=self.environment, version=document.version + 1)
        change = (
            update(documents)
            .where(self._one(document.kind, document.id), documents.c.version == document.version)
            .values(**_row(kept))
        )
        try:
            with self._connection.begin_nested():
                changed = self._connection.execute(change).rowcount
        except IntegrityError as error:
            raise _taken(document) from error
        if not changed:
            self.get(document.kind, document.id)  # or it is not there at all
            raise VersionConflictError
        self._changed(document)
        return kept

    def get(self, kind: str, id: str) -> Document:  # noqa: A002 - the field's name
        """Return one document, whatever its status; NotFoundError if there is none."""
        found = self.find(kind, id)
        if found is None:
            raise NotFoundError(f"There is no {kind} {id!r}.")
        return found

    def find(self, kind: str, id: str) -> Document | None:  # noqa: A002 - the field's name
        """Return one document, whatever its status, or None."""
        return self._first(self._one(kind, id))

    def by_lookup_key(self, kind: str, key: str) -> Document | None:
        """Return the published document with this lookup key, or None."""
        return self._first(
            and_(self._of(kind), documents.c.lookup_key == key, documents.c.status == PUBLISHED)
        )

    def list(
        self,
        kind: str,
        *,
        parent: str | None = None,
        status: str | None = PUBLISHED,
        equal: Equal | None = None,
        limit: int = PAGE_MAX,
        offset: int = 0,
        sort: Sort = "created_at",
        order: Order = "desc",
    ) -> Page:
        """Return a page of the documents of a kind; None: any. Those of one instant by id."""
        condition = self._listed(kind, parent, status, equal)
        counted = select(func.count()).select_from(documents).where(condition)
        total = self._connection.execute(counted).scalar_one()
        columns = (_SORTS[sort], documents.c.id)
        ordered = [c.desc() if order == "desc" else c.asc() for c in columns]
        query = select(documents).where(condition).order_by(*ordered)
        rows = self._connection.execute(query.limit(min(limit, PAGE_MAX)).offset(offset))
        return Page(tuple(_document(row) for row in rows), total)

    def all(
        self,
        kind: str,
        *,
        parent: str | None = None,
        status: str | None = PUBLISHED,
        equal: Equal | None = None,
    ) -> Sequence[Document]:
        """Return every document of a kind, without pages, the oldest first."""
        query = select(documents).where(self._listed(kind, parent, status, equal))
        query = query.order_by(documents.c.created_us, documents.c.id)
        return [_document(row) for row in self._connection.execute(query)]

    def _changed(self, document: Document) -> None:
        if document.kind in rollups.COUNTING_KINDS:
            rollups.bump(self._connection)  # the next ingest counts accordingly

    def _listed(
        self, kind: str, parent: str | None, status: str | None, equal: Equal | None
    ) -> ColumnElement[bool]:
        conditions = [self._of(kind)]
        if parent is not None:
            conditions.append(documents.c.parent == parent)
        if status is not None:
            conditions.append(documents.c.status == status)
        for name, values in (equal or {}).items():
            column = (
                documents.c.id if name == "id" else PropertyText(documents.c.body, literal(name))
            )
            conditions.append(among(column, values))
        return and_(*conditions)

    def _first(self, condition: ColumnElement[bool]) -> Document | None:
        row = self._connection.execute(select(documents).where(condition)).first()
        return None if row is None else _document(row)

    def _of(self, kind: str) -> ColumnElement[bool]:
        return and_(documents.c.environment == self.environment, documents.c.kind == kind)

    def _one(self, kind: str, id: str) -> ColumnElement[bool]:  # noqa: A002 - the field's name
        return and_(self._of(kind), documents.c.id == id)


def _row(document: Document) -> dict[str, Any]:
    return {
        "environment": document.environment,
        "kind": document.kind,
        "id": document.id,
        "body": _encode(document.body),
        "lookup_key": document.lookup_key,
        "parent": document.parent,
        "status": document.status,
        "created_us": document.created_us,
        "updated_us": document.updated_us,
        "version": document.version,
    }


def _document(row: Row[Any]) -> Document:
    fields: dict[str, Any] = dict(row._asdict())
    fields["body"] = json.loads(fields["body"])
    return Document(**fields)


def _taken(document: Document) -> AlreadyExistsError:
    key = document.id if document.lookup_key is None else document.lookup_key
    return AlreadyExistsError(f"A {document.kind} {key!r} exists already; take another key.")
