"""
fal: one queue for many vendors' models; the model is the path.

A submit to the queue is polled twice over: `status` says that a request is completed, which it
also is when it failed, and the result itself has no state. How much is billed stands in a
header, in a unit of the model's own; how long and how large a file is, in the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tokenmeter.providers.base import Adapter, Api, Call, Json, Reading, Request, mapping, text
from tokenmeter.providers.fal_requests import describe_body
from tokenmeter.providers.fal_results import read_result
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import OTHER, VIDEO, amount, error_code, said, settle_job
from tokenmeter.providers.media_kinds import kind_of_model

__all__ = ["ADAPTER", "describe"]

PROVIDER = "fal"
RUN, QUEUE = "fal.run", "queue.fal.run"
# The SDK turns to the second of each pair when the first cannot be reached.
HOSTS = (QUEUE, RUN, "queue.falrun.com", "falrun.com")
_REQUEST = re.compile(
    r"/(?P<app>.+?)/requests/(?P<id>[^/]+)"
    r"(?P<what>/status(?:/stream)?|/response|/cancel|/stream)?/?$"
)
_APP = re.compile(r"/(?P<app>(?:[\w.-]+/)+[\w.-]+)/?$")
_STREAM = "/stream"
_UNITS, _ID, _ERROR = "x-fal-billable-units", "x-fal-request-id", "x-fal-error-type"
_GOING_ON = frozenset({"IN_QUEUE", "IN_PROGRESS"})
_DONE, _OK, _BAD = "COMPLETED", "OK", "ERROR"
_NEEDLES = (b'"status"', b'"error"', b'"url"', b'"detail"')


def describe(request: Request) -> Call | None:
    """Say what a request to fal asks for; None for what makes nothing."""
    asks = _REQUEST.search(request.path)
    if asks is not None:
        return _describe_poll(request.method, asks)
    found = _APP.fullmatch(request.path)
    if found is None or request.method != "POST":
        return None
    queued = "queue." in request.host
    streamed = not queued and request.path.rstrip("/").endswith(_STREAM)
    model = found["app"].removesuffix(_STREAM) if streamed else found["app"]
    kind = kind_of_model(model)
    usage, dimensions = describe_body(kind, model, request.body)
    return Call(
        PROVIDER,
        _api(kind, streamed=streamed),
        request_model=label(model),
        streamed=streamed,
        dimensions=dimensions,
        usage=usage,
    )


def _describe_poll(method: str, asks: re.Match[str]) -> Call | None:
    """A poll's path names the app, which is not always the whole name of the model."""
    if method != "GET" or asks["what"] == "/cancel":
        return None
    kind = kind_of_model(asks["app"])
    return Call(
        PROVIDER,
        _api(kind),
        dimensions=said(app=label(asks["app"])),
        repeated=True,
        job_id=label(asks["id"]),
    )


def read_answer(payload: Json) -> Reading:
    """Read a submit, a status, a result, or a webhook's body: each looks different."""
    stage, job_id = text(payload.get("status")), label(payload.get("request_id"))
    if stage in (_OK, _BAD) and job_id is not None:
        return replace(_read_webhook(payload, stage), response_id=job_id)
    if stage == _DONE:
        return replace(_read_end(payload), response_id=job_id)
    if stage in _GOING_ON or (job_id is not None and "response_url" in payload):
        return Reading(response_id=job_id, state="pending")
    if payload.get("detail") is not None:
        return _read_refusal(payload)
    return read_result(payload)


def _read_webhook(payload: Json, stage: str) -> Reading:
    body = mapping(payload.get("payload"))
    if stage == _OK and payload.get("payload") is None:
        return Reading(state="pending")  # it could not be sent: whoever fetches it sees the end
    if stage == _OK:
        read = read_result(body)
        return read if read.state is not None else Reading(state="success", event_name=OTHER)
    told = error_code(payload.get("error_type")) or _why(body.get("detail"))
    return Reading(state="failed", error_type=told or "error")


def _read_end(payload: Json) -> Reading:
    """A completed request may have failed; if not, its result says what it made."""
    if not payload.get("error"):
        return Reading(state="pending")
    return Reading(state="failed", error_type=error_code(payload.get("error_type")) or "error")


def _read_refusal(payload: Json) -> Reading:
    """A list of reasons is the model's own: the request has failed. A text is the queue's."""
    told = error_code(payload.get("error_type")) or _why(payload.get("detail"))
    if told is None:
        return Reading(error_type="refused")
    return Reading(state="failed", error_type=told)


def _why(detail: object) -> str | None:
    """Return the kind of the first reason: ``content_policy_violation``."""
    reasons: list[Any] = detail if isinstance(detail, list) else []
    kinds = [error_code(mapping(reason).get("type")) or "error" for reason in reasons]
    return next(iter(kinds), None)


def read_headers(headers: Mapping[str, str]) -> Reading:
    """Read how many units are billed, and the id of a request that was not queued."""
    return Reading(
        response_id=label(headers.get(_ID)),
        error_type=error_code(headers.get(_ERROR)),
        dimensions=said(billable_units=amount(headers.get(_UNITS))),
    )


def read_part(payload: Json) -> Reading:
    """Read one event of a stream: each holds the whole as it is by then; its end is the end."""
    reading = read_answer(payload)
    return reading if reading.state == "failed" else replace(reading, state=None)


def settle(reading: Reading, call: Call) -> Reading:
    """Name the request; one that was not queued used what it asked for, for each output."""
    if reading.state is None and "counted" in reading.flags:  # a stream that has ended
        reading = replace(reading, state="success")
    settled = settle_job(reading, call)
    known = {f"missing:{metric}" for metric in settled.usage}
    return replace(settled, flags=settled.flags - known)


@lru_cache(maxsize=16)
def _api(kind: str, *, streamed: bool = False) -> Api:
    return Api(
        "stream" if streamed else "queue",
        kind,
        read_part if streamed else read_answer,
        settle,
        needles=_NEEDLES,
        owns_ids=True,
        read_headers=read_headers,
        refusal_ends=True,
    )


def webhook(payload: Json) -> Call | None:
    """Recognise a webhook of fal's (an id, how it ended, its payload), or a last status."""
    job_id = label(payload.get("request_id"))
    if job_id is None or payload.get("status") not in (_OK, _BAD, _DONE):
        return None
    return Call(PROVIDER, _api(VIDEO), repeated=True, job_id=job_id)


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, webhook=webhook)
