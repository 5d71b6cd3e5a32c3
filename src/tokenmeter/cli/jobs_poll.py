"""Ask the providers for pending jobs, one after the other, through a metered client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx2

from tokenmeter.capture.observation import provider_id
from tokenmeter.errors import ConfigurationError
from tokenmeter.providers.polls import Poll, poll_of

if TYPE_CHECKING:
    from tokenmeter.cli.jobs_waiting import Waiting
    from tokenmeter.meter import TokenMeter

DELIVER_TIMEOUT_S = 30.0  # for the events of the jobs that ended
TOKEN_S = 300  # a signed token of Kling's is good for so long
CLOCK_SKEW_S = 5
_KLING = ("KLING_ACCESS_KEY", "KLING_SECRET_KEY")
_REFUSED_FROM = 400  # HTTP status, inclusive

Result = Literal["settled", "failed", "going_on", "refused"]


class Asking(NamedTuple):
    """How to ask: how long to wait, and whom instead of the provider's own host."""

    timeout_s: float
    base_url: str | None = None
    like: str | None = None  # whose API a gateway has, if it is not its provider's name

    def poll(self, job: Waiting) -> Poll | None:
        """Return how a job is asked for; None if nobody has said."""
        return poll_of(self.like or job.provider, job.job_id, job.properties)

    def hosts(self, provider: str | None) -> dict[str, str]:
        """Say whose paths the other host has."""
        if self.base_url is None or provider is None:
            return {}
        place = urlsplit(self.base_url)
        if place.scheme not in ("http", "https") or not place.netloc:
            raise ConfigurationError(f"--base-url {self.base_url[:60]!r} is no http(s) address")
        return {place.netloc: provider}

    def address(self, url: str, provider: str) -> str:
        """Return where a poll is sent: a gateway that nobody has named goes by its host."""
        base = self.base_url or (None if self.like is None else f"https://{provider}")
        if base is None:
            return url
        asked = urlsplit(url)
        query = f"?{asked.query}" if asked.query else ""
        return f"{base.rstrip('/')}{asked.path}{query}"


class Answer(NamedTuple):
    """How one job stands."""

    provider: str
    job_id: str
    customer: str
    result: Result
    reason: str | None = None


def ask(meter: TokenMeter, jobs: Sequence[Waiting], asking: Asking) -> list[Answer]:
    """Poll each of the jobs once; the meter sees the answers and settles what has ended."""
    with httpx2.Client(timeout=asking.timeout_s) as client, meter.run() as run:
        meter.wrap(client)
        refused = {(job.provider, job.job_id): _refusal(client, job, asking) for job in jobs}
    meter.flush(DELIVER_TIMEOUT_S)
    ended = {event.event_id.partition("-")[0]: event for event in run.events}
    answers: list[Answer] = []
    for job in jobs:
        reason = refused[job.provider, job.job_id]
        event = ended.get(provider_id(job.provider, job.job_id))
        result: Result = "refused" if reason else "going_on"
        if event is not None:
            failed = event.properties.get("outcome") == "failed"
            result, reason = "failed" if failed else "settled", None
            told = event.properties.get("error_type") if failed else None
            reason = None if told is None else str(told)
        answers.append(Answer(job.provider, job.job_id, job.customer, result, reason))
    return answers


def _refusal(client: httpx2.Client, job: Waiting, asking: Asking) -> str | None:
    """Send one poll; say why nothing could be learned, None if there was an answer."""
    poll = asking.poll(job)
    if poll is None:
        return (
            f"no poll is known for jobs of {job.provider}; poll it with its own client, or say "
            "by --like whose API it has"
        )
    key = _key(asking.like or job.provider, poll)
    if key is None:
        return f"no key: set {' or '.join(poll.variables)}"
    headers = {**poll.more, poll.header: f"{poll.prefix}{key}"}
    method, url = "GET" if poll.body is None else "POST", asking.address(poll.url, job.provider)
    try:
        status = client.request(method, url, headers=headers, json=poll.body).status_code
    except httpx2.HTTPError as error:
        return type(error).__name__
    return f"HTTP {status}" if status >= _REFUSED_FROM else None


def _key(provider: str, poll: Poll) -> str | None:
    found = next(filter(None, (os.environ.get(name) for name in poll.variables)), None)
    pair = [os.environ.get(name) for name in _KLING] if provider == "kling" else []
    if found is None and all(pair) and pair:
        return _signed(str(pair[0]), str(pair[1]))
    return found


def _signed(access_key: str, secret_key: str) -> str:
    """Sign a token from the pair of keys that Kling's older accounts have (JWT, HS256)."""
    now = int(time.time())
    claims = {"iss": access_key, "exp": now + TOKEN_S, "nbf": now - CLOCK_SKEW_S}
    unsigned = _encoded({"alg": "HS256", "typ": "JWT"}) + b"." + _encoded(claims)
    signature = hmac.new(secret_key.encode(), unsigned, hashlib.sha256).digest()
    return b".".join((unsigned, _bare(signature))).decode()


def _encoded(part: dict[str, Any]) -> bytes:
    return _bare(json.dumps(part, separators=(",", ":")).encode())


def _bare(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")
