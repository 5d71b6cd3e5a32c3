"""One connection pool to one Flexprice, and what was last heard from it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any

import httpx2

from tokenmeter.delivery.flexprice.account import Account
from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.errors import ConfigurationError

CONNECTIONS_MAX = 4
ANSWER_BYTES_MAX = 8 * 1024 * 1024  # the lists that provisioning reads are the longest
REASON_CHARS_MAX = 300
RETRY_AFTER_MAX_S = 3_600.0


class NotSentError(TransientError):
    """There is no connection: the server has not seen the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes
    retry_after_s: float | None
    is_encoded: bool = False  # by a proxy, although nobody asked for it

    @property
    def took_events(self) -> bool:
        """Whether Flexprice says so: 2xx, and JSON or nothing; a login page is no such word."""
        if self.status not in {200, 201, 202, 204}:
            return False
        return self.is_encoded or not self.body.strip() or isinstance(self.json(), dict)

    def json(self) -> Any:
        """Return the body's JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def reason(self) -> str:
        """Say in one line why the server refused: its own message if it gave one."""
        found: object = self.json()
        fields: dict[str, Any] = found if isinstance(found, dict) else {}
        words = [fields.get(name) for name in ("message", "error", "code")]
        said = [word for word in words if isinstance(word, str) and word]
        text = said[0] if said else self.body[: REASON_CHARS_MAX * 4].decode("utf-8", "replace")
        return masked(f"HTTP {self.status}: {text}")[:REASON_CHARS_MAX]


class Session:
    """
    Calls to one account. Transport failures are TransientErrors, and mention no key.

    A forked child opens connections of its own; the parent's stay open and unused in it.
    """

    def __init__(self, account: Account, *, connections_max: int = CONNECTIONS_MAX) -> None:
        self.account = account
        self._connections_max = connections_max
        self.clock_skew_s: float | None = None  # the server's clock less ours
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._pid = 0
        self._inherited: list[httpx2.Client] = []

    def call(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Make one request; `path` starts with a slash."""
        account = self.account
        headers = {"x-api-key": self._key()}
        if body is not None:
            headers["content-type"] = "application/json"
        deadline = time.monotonic() + account.timeout_s
        try:
            with self._opened().stream(
                method, account.base_url + path, content=body, headers=headers
            ) as response:
                return self._answer(response, deadline)
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            said = masked(f"{type(error).__name__}: {error}")[:REASON_CHARS_MAX]
            unsent = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
            kind = NotSentError if unsent else TransientError
            raise kind(f"{account.base_url} cannot be reached ({said})") from None

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None and self._pid == os.getpid():
                client.close()
            elif client is not None:
                self._inherited.append(client)

    def forked(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _key(self) -> str:
        try:
            return self.account.current_key()
        except ConfigurationError as error:  # its file was good at start, and may be again
            raise TransientError(str(error)) from None

    def _opened(self) -> httpx2.Client:
        with self._lock:
            if self._client is not None and self._pid != os.getpid():
                self._inherited.append(self._client)  # closing it would end the parent's
                self._client = None
            if self._client is None:
                self._pid = os.getpid()
                self._client = _client(self.account.timeout_s, self._connections_max)
            return self._client

    def _answer(self, response: httpx2.Response, deadline: float) -> Answer:
        date = _http_date(response.headers.get("date"))
        self._see_clock(date)
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX or time.monotonic() > deadline:
                raise TransientError(
                    f"{self.account.base_url} answers without end (HTTP {response.status_code})"
                )
        return Answer(
            response.status_code,
            bytes(body),
            retry_after_s(response.headers.get("retry-after"), date),
            is_encoded="content-encoding" in response.headers,
        )

    def _see_clock(self, moment: datetime | None) -> None:
        if moment is not None:
            skew = (moment - datetime.now(UTC)).total_seconds()
            self.clock_skew_s = 0.0 if -1.0 < skew <= 1.0 else skew  # the header has whole seconds


def retry_after_s(text: str | None, now: datetime | None = None) -> float | None:
    """
    Read Retry-After, seconds or a date; None for nonsense, an hour at most.

    `now`: what the server's clock said, by which its date must be read.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        moment = _http_date(text)
        if moment is None:
            return None
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if not isnan(seconds) else None


def _client(timeout_s: float, connections_max: int) -> httpx2.Client:
    return httpx2.Client(
        timeout=timeout_s,
        limits=httpx2.Limits(
            max_connections=connections_max, max_keepalive_connections=connections_max
        ),
        headers={"accept": "application/json", "accept-encoding": "identity"},
        follow_redirects=False,  # a redirect must not carry the key elsewhere
    )


def _http_date(text: str | None) -> datetime | None:
    with contextlib.suppress(TypeError, ValueError, IndexError):
        moment = parsedate_to_datetime(text or "")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
