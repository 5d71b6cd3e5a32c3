"""Errors as Flexprice writes them: a code, a sentence, the status."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tokenmeter.errors import QueryError, StoreBusyError, StoreError, TokenmeterError
from tokenmeter.server.wire import Reply

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.responses import Response

STATUSES = {
    "validation_error": 400,
    "invalid_operation": 400,
    "permission_denied": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "already_exists": 409,
    "version_conflict": 409,
    "too_many_requests": 429,
    "internal_error": 500,
    "database_error": 500,
    "not_implemented": 501,
    "service_unavailable": 503,
}
# Errors of ours that carry no code of Flexprice's.
_CODES: tuple[tuple[type[TokenmeterError], str], ...] = (
    (QueryError, "validation_error"),
    (StoreBusyError, "service_unavailable"),
    (StoreError, "database_error"),
)
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}

PATH_SHOWN_MAX = 200

_logger = logging.getLogger("tokenmeter.server")


class UnauthorizedError(TokenmeterError):
    """The key is missing, unknown, revoked or expired; send a valid one as x-api-key."""


def error_reply(code: str, message: str, details: dict[str, Any] | None = None) -> Reply:
    """Return the answer that says what is wrong."""
    status = STATUSES.get(code, 500)
    body: dict[str, Any] = {"code": code, "message": message, "http_status_code": status}
    if details:
        body["details"] = details
    return Reply(body, status)


def install(app: FastAPI) -> None:
    """Answer errors of ours, of FastAPI and of nobody's with Flexprice's bodies."""
    app.add_exception_handler(TokenmeterError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


def _known(_request: Request, error: Exception) -> Response:
    if isinstance(error, UnauthorizedError):
        return Reply({"error": "Unauthorized"}, 401)
    code = cast("str | None", getattr(error, "code", None))
    if code is None:
        code = next((c for kind, c in _CODES if isinstance(error, kind)), "internal_error")
    if STATUSES.get(code, 500) >= STATUSES["internal_error"]:
        _logger.error("tokenmeter: a request failed: %s", error)
    details = cast("dict[str, Any]", getattr(error, "details", None) or {})
    field = cast("str", getattr(error, "field", ""))
    return error_reply(code, str(error), {**details, **({"field": field} if field else {})})


def _invalid(_request: Request, error: Exception) -> Response:
    """Name the parameters that are wrong, without the values they had."""
    found = cast("Sequence[dict[str, Any]]", cast(RequestValidationError, error).errors())
    wrong = [f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in found]
    return error_reply("validation_error", "; ".join(wrong) or "Request validation failed")


def _http(request: Request, error: Exception) -> Response:
    known = cast(HTTPException, error)
    code = _HTTP_CODES.get(known.status_code)
    said = str(known.detail)
    if code is not None:  # by the router: routes raise errors of ours
        asked = f"{request.method} {request.url.path[:PATH_SHOWN_MAX]}"
        said = f"This server has no {asked}; docs/server.md lists what it serves."
    reply = error_reply(code or "validation_error", said)
    reply.status_code = known.status_code
    reply.headers.update(known.headers or {})
    return reply


def _unknown(_request: Request, error: Exception) -> Response:
    # Starlette raises the error again after this answer, so that the server logs where.
    _logger.error("tokenmeter: a request failed: %s", type(error).__name__)
    return error_reply("internal_error", "The server failed; its log says why.")
