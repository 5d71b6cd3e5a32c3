"""API keys of the caller's own environment."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.registry import environment_id
from tokenmeter.engine.keys import ApiKey, Scope, scopes_of
from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering
from tokenmeter.server.paging import ListQuery, listed_body
from tokenmeter.server.routes.crud import CREATED
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["keys"])

KEYS = "/secrets/api/keys"
NO_CONTENT = 204


@router.post(KEYS, status_code=CREATED, openapi_extra=body_schema(schemas.API_KEY))
def create_api_key(fields: Fields, desk: Administering) -> Reply:
    """Make a key for this environment; the answer is the only place that shows it."""
    made = desk.keys.create(
        desk.environment,
        scopes_of(reading.texts(fields, "scopes") or (Scope.ADMIN.value,)),
        name=reading.needed(fields, "name"),
        expires_at=reading.moment(fields, "expires_at"),
    )
    return Reply({"api_key": made.secret, "secret": _shown(made.key)}, CREATED)


@router.get(KEYS)
def list_api_keys(asked: ListQuery, desk: Administering) -> Reply:
    """List the keys of this environment, without their secrets."""
    search, keys = asked.search({}), desk.keys.list(desk.environment)
    page = keys[search.offset : search.offset + search.limit]
    body = listed_body([_shown(key) for key in page], len(keys), search.limit, search.offset)
    return Reply(body)


@router.delete(f"{KEYS}/{{id}}", status_code=NO_CONTENT)
def revoke_api_key(id: str, desk: Administering) -> Response:  # noqa: A002 - as in the path
    """Take a key back, at once."""
    desk.keys.revoke(desk.environment, id)
    return Response(status_code=NO_CONTENT)


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "display_id": f"{key.prefix}…",
        "type": "private_key",
        "provider": "flexprice",
        "roles": sorted(key.scopes),
        "environment_id": environment_id(key.environment),
        "status": "published" if key.revoked_at is None else "archived",
        "created_at": key.created_at,
        "updated_at": key.revoked_at or key.created_at,
        "expires_at": key.expires_at,
    }
