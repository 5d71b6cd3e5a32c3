"""What all OpenAI-like answers share: the head of a payload, errors; and how hosts differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from tokenmeter.providers.base import NO_READING, Json, Reading, State, text
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.providers.openai_usage import walked
from tokenmeter.usage import Usage

CostRule = Callable[[Mapping[str, Any]], Decimal | None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a host departs from OpenAI's own way; the default is a host nobody knows."""

    # The endpoint takes `stream_options` and does not report usage on a stream without it.
    asks_usage: bool = False
    # Ids of answers are the provider's own for all time.
    owns_ids: bool = False
    # reasoning_tokens lie outside completion_tokens, where the total does not tell.
    reasoning_outside: bool = False
    # What the total holds beyond prompt and completion is reasoning that is not named.
    hidden_reasoning: bool = False
    # What the host says it charged, in USD, from the cost fields of its usage.
    cost: CostRule | None = None
    # The answer's header that states the charge, in USD.
    cost_header: str | None = None
    # A stream of a chat may deliver images.
    draws: bool = False
    # The model of an image request that names none.
    image_model: str | None = None
    # The model of a video request that names none.
    video_model: str | None = None


PLAIN = Dialect()


def is_usual(dialect: Dialect) -> bool:
    """Say whether answers state no cost, so that their numbers are all there is."""
    return dialect.cost is None and dialect.cost_header is None


_CODE = re.compile(r"[A-Za-z][\w.\-/]{0,79}|\d{1,6}", re.ASCII)
_TIME_MAX = 10**13


def stated_cost(header: str, headers: Mapping[str, str]) -> Reading:
    """Read the charge that a header states; at the head of a stream it is not known yet."""
    if "event-stream" in headers.get("content-type", ""):
        return NO_READING
    cost = decimal(headers.get(header))
    return NO_READING if cost is None else Reading(cost=f"{cost:f}")


class Head(msgspec.Struct, gc=False, kw_only=True):
    """What `answer` looks at, for readers that step over the rest."""

    usage: dict[str, Any]
    id: Any = None
    model: Any = None
    error: Any = None
    created: Any = None
    created_at: Any = None
    service_tier: Any = None


def answer(payload: Json, usage: object, state: State | None) -> Reading:
    """
    Read what every answer carries: usage, model, id, time, served tier, error.

    An error makes it a failure, whatever `state` says.
    """
    found = walked(usage)
    failure = error_type(payload)
    tier = text(payload.get("service_tier"))
    return Reading(
        Usage(found.numbers),
        text(payload.get("model")),
        text(payload.get("id")),
        moment(payload.get("created")) or moment(payload.get("created_at")),
        "failed" if failure else state,
        failure,
        {"service_tier": tier} if tier else {},
        (),
        frozenset(found.flags),
        None,
        found.costs,
    )


def error_type(payload: Json) -> str | None:
    """Return the provider's short word for an error in this payload; None if there is none."""
    error = payload.get("error")
    if not error:
        return None
    said = error if isinstance(error, dict) else payload
    words = [str(said.get(name)) for name in ("code", "type", "status")]
    codes = [word for word in words if _CODE.fullmatch(word) and word not in _NOT_A_CODE]
    named = [code for code in codes if not code.isdigit()]
    return next(iter(named or codes), "error")


def refusal(told: object) -> str | None:
    """Read MiniMax's own word for how it went, which stands beside any HTTP status."""
    code = told.get("status_code") if isinstance(told, dict) else None
    return str(code) if code and _CODE.fullmatch(str(code)) else None


_NOT_A_CODE = frozenset({"None", "True", "False", "error"})


def moment(value: object) -> int | float | str | None:
    """Return `value` if it can be a time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if 0 < value < _TIME_MAX else None
    return text(value)


def is_true(value: object) -> bool:
    """Tell a true flag, in JSON or in a form."""
    return value is True or value == "true"
