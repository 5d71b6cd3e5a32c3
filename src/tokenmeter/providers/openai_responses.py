"""The Responses API: answers, their events, background jobs, and what hosted tools used."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from tokenmeter.providers.base import (
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    State,
    text,
)
from tokenmeter.providers.openai_chat import DONE
from tokenmeter.providers.openai_plain import asked_chat
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_tools import (
    ITEMS,
    NEEDLES,
    counted,
    read_item,
    searched,
    with_tools,
)
from tokenmeter.providers.openai_wire import Dialect, Head, answer, error_type, is_usual
from tokenmeter.providers.usual import read_by

ID_LENGTH_MIN = 24  # "resp_" and a random part
_STATES: dict[str, State] = {
    "completed": "success",
    "incomplete": "success",
    "failed": "failed",
    "cancelled": "failed",
}
_ITEM_DONE = "response.output_item.done"
_NEEDLES = (
    b'"usage"',
    b'"error"',
    b'"response.completed"',
    b'"response.incomplete"',
    b'"response.failed"',
    b'"response.cancelled"',
    *NEEDLES,
)


def responses_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of the Responses endpoints."""
    settle = partial(settle_response, dialect)
    usual = is_usual(dialect)
    return Api(
        operation=operation,
        event_name="text_generated",
        read=read_response,
        settle=settle,
        needles=_NEEDLES,
        text=delta_text,
        done=DONE,
        owns_ids=True,
        asked=asked_chat,
        plain=read_by(_Body, _without_texts, read_response, settle) if usual else None,
    )


class _Item(msgspec.Struct, gc=False):
    type: str


class _Body(Head, gc=False, kw_only=True):
    """What `read_response` looks at in a response that is no event and used no such tool."""

    output: list[_Item]
    type: None = None
    status: Any = None
    background: Any = None
    tool_usage: Any = None


def _without_texts(body: _Body) -> Json | None:
    if searched(body.tool_usage) or any(item.type in ITEMS for item in body.output):
        return None
    return {**msgspec.structs.asdict(body), "output": []}


def read_response(payload: Json) -> Reading:
    """Read a response, a compaction, or one event of a response's stream."""
    kind = text(payload.get("type"))
    if kind is None:
        return _read_body(payload, streamed=False)
    response = payload.get("response")
    if isinstance(response, dict):
        return _read_body(response, streamed=True)
    if kind == _ITEM_DONE and isinstance(payload.get("item"), dict):
        return read_item(payload["item"])
    if kind != "error":
        return NO_READING
    failure = error_type(payload) or error_type({**payload, "type": None, "error": True})
    return Reading(state="failed", error_type=failure)


def _of_a_response(body: Json) -> State | None:
    """What has neither an id nor usage is no response: a poll so answered says nothing."""
    return "success" if body.get("id") or body.get("usage") else None


def _read_body(body: Json, *, streamed: bool) -> Reading:
    status = text(body.get("status"))
    state = _STATES.get(status) if status else None
    if state is None and (not streamed or body.get("background") is True):
        state = "pending" if status else _of_a_response(body)
    reading = answer(body, body.get("usage"), state)
    if state == "failed" and reading.error_type is None:
        reading = replace(reading, error_type=status)
    return with_tools(reading, body)


def settle_response(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """
    Settle tokens, and keep the id by which a retrieve finds the response again.

    A host that is not known may be a mock: an id that is too short to be unique is dropped,
    unless it is that of a job, which is asked for by it.
    """
    settled = settle_text(dialect, reading, call)
    if reading.raw:
        usage, containers = counted(replace(reading, usage=settled.usage))
        settled = replace(settled, usage=usage, dimensions={**settled.dimensions, **containers})
    asked = call.repeated or settled.state == "pending"
    known = dialect.owns_ids or asked or len(settled.response_id or "") >= ID_LENGTH_MIN
    return settled if known else replace(settled, response_id=None)


def delta_text(event: Json) -> str:
    """Return the text, reasoning or arguments that one event delivers."""
    kind = text(event.get("type")) or ""
    delta = event.get("delta")
    is_text = kind.endswith(".delta") and kind != "response.audio.delta"
    return delta if is_text and isinstance(delta, str) else ""
