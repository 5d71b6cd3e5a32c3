"""What rating refuses, with Flexprice's code and the field that is wrong."""

from __future__ import annotations

from typing import ClassVar

from tokenmeter.errors import TokenmeterError


class RatingError(TokenmeterError, ValueError):
    """The definition cannot be rated; correct the field that is named."""

    code: ClassVar[str] = "validation_error"

    def __init__(self, message: str | None = None, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class OperationError(RatingError):
    """The operation is not possible now; look at the state that is named."""

    code: ClassVar[str] = "invalid_operation"
