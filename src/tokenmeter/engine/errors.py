"""What the engine's services refuse, with Flexprice's code for each."""

from __future__ import annotations

from typing import ClassVar

from tokenmeter.errors import TokenmeterError


class EngineError(TokenmeterError):
    """The engine refused the request; the message says why."""

    code: ClassVar[str] = "internal_error"


class ValidationError(EngineError, ValueError):
    """A value is wrong; correct the field that is named."""

    code: ClassVar[str] = "validation_error"


class InvalidOperationError(EngineError):
    """This is not possible in the present state; look at the state that is named."""

    code: ClassVar[str] = "invalid_operation"


class NotFoundError(EngineError, LookupError):
    """There is nothing of this id or key here; check it, and the environment."""

    code: ClassVar[str] = "not_found"


class AlreadyExistsError(EngineError):
    """Something of this id or key exists already; take another one."""

    code: ClassVar[str] = "already_exists"


class VersionConflictError(EngineError):
    """Somebody else changed it in the meantime; read it again and repeat the change."""

    code: ClassVar[str] = "version_conflict"


class DatabaseMovedError(EngineError):
    """The database's file was deleted or replaced while it was open; restart the server."""

    code: ClassVar[str] = "service_unavailable"


class PermissionDeniedError(EngineError):
    """This key may not do that; use one with the scope that is named."""

    code: ClassVar[str] = "permission_denied"


class InsufficientBalanceError(InvalidOperationError):
    """The wallet has less left than this needs; top it up."""
