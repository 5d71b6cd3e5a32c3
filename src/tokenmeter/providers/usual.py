"""What the usual form of requests and answers is read by: msgspec, which steps over the texts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import msgspec

from tokenmeter.providers.base import Call, Json, Plain, Reading, is_clean

T = TypeVar("T", bound=msgspec.Struct)
_parsed = msgspec.json.Decoder().decode
_UNUSUAL = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def asked_by(fields: type[msgspec.Struct]) -> Callable[[bytes], Hashable | None]:
    """Make what takes a request's body to what it asks for, as a key; None if it is unusual."""
    read = msgspec.json.Decoder(fields).decode

    def asked(body: bytes) -> Hashable | None:
        try:
            return read(body)
        except _UNUSUAL:
            return None

    return asked


def answered_by(fields: type[T]) -> Callable[[bytes], T | None]:
    """Make what takes a whole answer's body to its fields; None if it is unusual."""
    read = msgspec.json.Decoder(fields).decode

    def answered(body: bytes) -> T | None:
        try:
            found = read(body)
            if not body.isascii():
                body.decode()  # what msgspec steps over it does not look at
        except _UNUSUAL:
            return None
        return found

    return answered


def read_by(
    fields: type[T],
    payload_of: Callable[[T], Json | None],
    read: Callable[[Json], Reading],
    settle: Callable[[Reading, Call], Reading],
) -> Callable[[bytes, Call], Plain | None]:
    """
    Make what reads a whole answer as `read` and `settle` do, without its texts.

    `payload_of` turns the fields into the payload that is left of the answer: all that `read`
    looks at; None if the answer is unusual.
    """
    answered = answered_by(fields)

    def plain(body: bytes, call: Call) -> Plain | None:
        found = answered(body)
        payload = None if found is None else payload_of(found)
        return None if payload is None else plain_of(settle(read(payload), call))

    return plain


def plain_of(reading: Reading) -> Plain | None:
    """Return what a settled reading reports; None if it says more than a `Plain` can."""
    model, response_id, dimensions = reading.model, reading.response_id or "", reading.dimensions
    if reading.state != "success" or model is None or "input_tokens" not in reading.usage:
        return None
    if reading.flags or reading.parts or reading.jobs or reading.cost or reading.event_name:
        return None
    if not all(map(is_clean, (model, response_id, *dimensions.values()))):
        return None
    return Plain(reading.usage.to_dict(), model, response_id, reading.created, dimensions)


def object_of(body: bytes) -> Json | None:
    """
    Parse a JSON object, as `json.loads` does; None if it is unusual.

    That is what `json` takes and the standard does not have (NaN, half of a character), and
    numbers beyond a float: they are left to `json`.
    """
    try:
        found = _parsed(body)
    except _UNUSUAL:
        return None
    return found if isinstance(found, dict) else None
