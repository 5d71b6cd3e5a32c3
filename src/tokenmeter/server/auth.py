"""Who asks: a key, its environment, and what it may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from tokenmeter.engine.errors import PermissionDeniedError, ValidationError
from tokenmeter.engine.keys import ApiKey, Scope
from tokenmeter.server.desk import Desk, Office
from tokenmeter.server.errors import UnauthorizedError

BEARER = "bearer "

_header = APIKeyHeader(name="x-api-key", auto_error=False)
Header = Annotated[str | None, Depends(_header)]


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


def _key(request: Request, header: Header, office: Annotated[Office, Depends(_office)]) -> ApiKey:
    """Find the valid key of a request: `x-api-key`, or `Authorization: Bearer`."""
    office.check_database()
    secret = header or _bearer(request)
    key = office.keys.find(secret) if secret else None
    if key is None:
        raise UnauthorizedError
    return key


def _bearer(request: Request) -> str:
    given = request.headers.get("authorization", "")
    return given[len(BEARER) :].strip() if given.lower().startswith(BEARER) else ""


def _desk(scope: Scope) -> Callable[..., Desk]:
    def desk(
        request: Request,
        key: Annotated[ApiKey, Depends(_key)],
        office: Annotated[Office, Depends(_office)],
    ) -> Desk:
        if not key.may(scope):
            raise PermissionDeniedError(
                f"This key has no scope {scope.value!r}; use one that has."
            )
        _check_texts(request)
        return office.desk(key.environment)

    return desk


def _check_texts(request: Request) -> None:
    """A NUL in a path or query could be kept by one database and not by the other."""
    given = (*request.path_params.values(), *request.query_params.values())
    if any("\x00" in str(value) for value in given):
        raise ValidationError("A value in the address holds a NUL character.")


# What a route asks for: the services of the key's environment, if the key may.
Ingesting = Annotated[Desk, Depends(_desk(Scope.INGEST))]
Reading = Annotated[Desk, Depends(_desk(Scope.READ))]
Administering = Annotated[Desk, Depends(_desk(Scope.ADMIN))]
