"""A call that is not to be made: refused in the words of the API that was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from tokenmeter.errors import TokenmeterError

Dialect = Literal["openai", "anthropic", "google", "aws"]

# status -> (OpenAI's type and code, Anthropic's type, Google's status), as their APIs name it:
# platform.openai.com/docs/guides/error-codes, platform.claude.com/docs/en/api/errors,
# google.aip.dev/193; looked up 2026-11-29. OpenAI has no 402; its quota error is the nearest.
_WORDS: dict[int, tuple[str, str, str]] = {
    400: ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    401: ("invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
    402: ("insufficient_quota", "billing_error", "FAILED_PRECONDITION"),
    403: ("permission_denied", "permission_error", "PERMISSION_DENIED"),
    413: ("request_too_large", "request_too_large", "INVALID_ARGUMENT"),
    429: ("rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    503: ("service_unavailable", "overloaded_error", "UNAVAILABLE"),
}


SERVER_ERROR = 500  # and above

# What botocore makes of an answer is the name in this header (docs.aws.amazon.com/bedrock,
# "Common errors"); AWS has no 402. It retries a ThrottlingException.
AWS_ERROR_HEADER = "x-amzn-errortype"
_AWS_ERRORS = {
    400: "ValidationException",
    413: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


class Refused(TokenmeterError):  # noqa: N818 - an answer to one call, not a fault
    """The call is not made; the refusal says why, and when to try again."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not made: a status, a sentence, and when it may be tried again."""

    status: int
    message: str
    retry_after_s: int | None = None

    def headers(self, dialect: Dialect = "openai") -> dict[str, str]:
        """The headers of the answer; the SDKs do not retry what waiting cannot help."""
        found = {"content-type": "application/json"}
        if dialect == "aws":
            found[AWS_ERROR_HEADER] = _AWS_ERRORS[self._worded]
        if self.retry_after_s is not None:
            found["retry-after"] = str(self.retry_after_s)
        elif self.status != 503:
            found["x-should-retry"] = "false"
        return found

    @property
    def _worded(self) -> int:
        """The status whose words are the nearest; a function of the user's may choose any."""
        if self.status in _WORDS:
            return self.status
        return 503 if self.status >= SERVER_ERROR else 400

    def body(self, dialect: Dialect) -> bytes:
        """The answer's JSON, as the caller's SDK reads it."""
        return json.dumps(self._error(dialect), separators=(",", ":")).encode()

    def _error(self, dialect: Dialect) -> dict[str, Any]:
        openai, anthropic, google = _WORDS[self._worded]
        if dialect == "anthropic":
            return {"type": "error", "error": {"type": anthropic, "message": self.message}}
        if dialect == "aws":
            return {"message": self.message}
        if dialect == "google":
            error = {"code": self.status, "message": self.message, "status": google}
            return {"error": error}
        error = {"message": self.message, "type": openai, "param": None, "code": openai}
        return {"error": error}
