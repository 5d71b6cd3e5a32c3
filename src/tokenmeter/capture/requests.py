"""The request as an adapter sees it, and the fingerprint that finds its repetition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from tokenmeter.capture.forms import form_fields
from tokenmeter.providers.base import Json

REQUEST_BYTES_MAX = 32 * 1024 * 1024  # a larger request body is not read


def parse_body(body: bytes, content_type: str) -> Json:
    """Return the JSON object or the form fields of a request body; {} if there are none."""
    if not body or len(body) > REQUEST_BYTES_MAX:
        return {}
    if content_type[:10].lower() == "multipart/":
        return form_fields(body, content_type)
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def fingerprint(method: str, url: str, body: bytes | Mapping[str, str]) -> bytes:
    """Return the hash that a repetition of this request shares."""
    digest = hashlib.sha256(f"{method} {url}\n".encode())
    if isinstance(body, bytes):
        digest.update(body)
    else:
        digest.update(repr(sorted(body.items())).encode())
    return digest.digest()


class Sent:
    """The request that an exchange sent: what its retry and its estimate need later."""

    __slots__ = ("_body", "_fields", "_fingerprint", "_method", "retry_count", "url")

    def __init__(
        self, method: str, url: str, body: bytes, fields: Json | None, retry_count: int
    ) -> None:
        self._method = method
        self.url = url
        self._body = body  # the user's own object: no copy, and gone with the exchange
        self._fields = fields  # None: parsed when somebody asks
        self._fingerprint: bytes | None = None
        self.retry_count = retry_count

    def fingerprint(self) -> bytes:
        """Return the hash that a repetition shares; computed when first asked for."""
        if self._fingerprint is None:
            body = self._body or {k: str(v) for k, v in self.json().items()}
            self._fingerprint = fingerprint(self._method, self.url, body)
        return self._fingerprint

    def json(self) -> Json:
        """Return the request's JSON object or form fields."""
        if self._fields is None:
            self._fields = parse_body(self._body, "")
        return self._fields
