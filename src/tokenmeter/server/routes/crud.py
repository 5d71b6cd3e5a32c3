"""The routes that every kind of definition has: create, list, search, read, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokenmeter.engine.definitions.search import search_of
from tokenmeter.server.auth import Administering, Reading
from tokenmeter.server.paging import SEARCH, ListQuery, listed
from tokenmeter.server.schemas import Schema
from tokenmeter.server.wire import Fields, OptionalFields, Reply, body_schema

if TYPE_CHECKING:
    from fastapi import APIRouter

CREATED = 201


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of definition as the API names it."""

    kind: str  # of the service: "price_unit"
    path: str  # "/prices/units"
    schema: Schema  # of what creates it
    change: Schema | None = None  # of what changes it, where that differs
    names: Mapping[str, str] = field(default_factory=dict[str, str])  # search key -> field
    wrapped: str = ""  # the field that holds the body in an answer, if there is one

    def reply(self, body: Mapping[str, Any], status: int = 200) -> Reply:
        """Answer with one entity."""
        return Reply({self.wrapped: body} if self.wrapped else body, status)

    @property
    def title(self) -> str:
        """Name the kind in a sentence."""
        return self.kind.replace("_", " ")


def add_collection(router: APIRouter, entity: Entity) -> None:
    """Add what has no id in its path: create, list, search."""
    path, kind = entity.path, entity.kind

    @router.post(
        path,
        status_code=CREATED,
        operation_id=f"create_{kind}",
        openapi_extra=body_schema(entity.schema),
    )
    def create(fields: Fields, desk: Administering) -> Reply:
        return entity.reply(desk.definitions.create(kind, fields), CREATED)

    @router.get(path, operation_id=f"list_{kind}")
    def list_(asked: ListQuery, desk: Reading) -> Reply:
        search = asked.search(entity.names)
        return listed(desk.definitions.search(kind, search), search)

    @router.post(
        f"{path}/search",
        operation_id=f"search_{kind}",
        openapi_extra=body_schema(SEARCH, required=False),
    )
    def search(fields: OptionalFields, desk: Reading) -> Reply:
        wanted = search_of(fields, entity.names)
        return listed(desk.definitions.search(kind, wanted), wanted, searched=True)


def add_member(router: APIRouter, entity: Entity) -> None:
    """Add what has an id in its path: read, change, delete."""
    path, kind = f"{entity.path}/{{id}}", entity.kind
    change_schema = entity.change or {**entity.schema, "required": []}

    @router.get(path, operation_id=f"get_{kind}")
    def get(id: str, desk: Reading) -> Reply:  # noqa: A002 - the name in the path
        return entity.reply(desk.definitions.get(kind, id))

    @router.put(path, operation_id=f"update_{kind}", openapi_extra=body_schema(change_schema))
    def update(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
        return entity.reply(desk.definitions.update(kind, id, fields))

    @router.delete(path, operation_id=f"delete_{kind}")
    def delete(id: str, fields: OptionalFields, desk: Administering) -> Reply:  # noqa: A002
        desk.definitions.delete(kind, id, fields)
        return Reply({"message": f"{entity.title} deleted successfully", "id": id})


def add_all(router: APIRouter, entity: Entity) -> None:
    """Add both."""
    add_collection(router, entity)
    add_member(router, entity)
