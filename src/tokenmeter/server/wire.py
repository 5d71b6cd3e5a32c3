"""JSON as it crosses the wire: exact numbers in, decimals as strings out, nothing too large."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn, cast

from fastapi import Depends, Request
from fastapi.responses import JSONResponse

from tokenmeter.engine.errors import ValidationError
from tokenmeter.event import timestamp_text

BODY_BYTES_MAX = 32 * 1024 * 1024
EXPONENT_MAX = 400  # of a number in a body; beyond it no double would go either
_SUSPECT = (b"\\u0000", b"\\ud", b"\\uD")  # escapes of what a database cannot keep


class Reply(JSONResponse):
    """A JSON answer. Decimals are written as strings, times as RFC 3339 in UTC."""

    def render(self, content: Any) -> bytes:
        """Write the body."""
        return _encode(content).encode()


def body_schema(schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    """Describe the JSON body of a route for its OpenAPI entry (`openapi_extra`)."""
    content = {"application/json": {"schema": dict(schema)}}
    return {"requestBody": {"required": required, "content": content}}


async def _body_bytes(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > BODY_BYTES_MAX:
        raise _too_large()
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > BODY_BYTES_MAX:
            raise _too_large()
    return bytes(held)


RawBody = Annotated[bytes, Depends(_body_bytes)]


def read_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object; ValidationError says what is wrong with a body that is none."""
    try:
        found = json.loads(raw, parse_float=_decimal, parse_constant=_refuse)
        if any(mark in raw for mark in _SUSPECT):
            _check_texts(found)
    except RecursionError:
        raise ValidationError("The body is nested too deeply.") from None
    except (ValueError, InvalidOperation) as error:
        raise ValidationError(f"The body is not valid JSON: {_reason(error)}.") from None
    if not isinstance(found, dict):
        raise ValidationError("The body must be a JSON object.")
    return cast("dict[str, Any]", found)


def _fields(raw: RawBody) -> dict[str, Any]:
    return read_object(raw)


def _optional_fields(raw: RawBody) -> dict[str, Any]:
    return read_object(raw) if raw.strip() else {}


Fields = Annotated[dict[str, Any], Depends(_fields)]
OptionalFields = Annotated[dict[str, Any], Depends(_optional_fields)]


def _decimal(text: str) -> Decimal | int:
    value = Decimal(text)
    if value and abs(value.adjusted()) > EXPONENT_MAX:
        raise ValueError("a number is out of range")
    return int(value) if value == value.to_integral_value() else value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _check_texts(found: object) -> None:
    """A text that is no Unicode, or holds NUL, could be kept by one database and not the other."""
    left = [found]
    while left:
        one = left.pop()
        if isinstance(one, str):
            one.encode()  # UnicodeEncodeError is a ValueError
            if "\x00" in one:
                raise ValueError("a text in it holds a NUL character")
        elif isinstance(one, dict):
            left += [*cast("dict[str, object]", one), *cast("dict[str, object]", one).values()]
        elif isinstance(one, list):
            left += cast("list[object]", one)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeError):
        return "a text in it is not valid Unicode"
    return str(error)[:100]


def _too_large() -> ValidationError:
    return ValidationError(f"A body holds at most {BODY_BYTES_MAX} bytes; send less at once.")


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return timestamp_text(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
