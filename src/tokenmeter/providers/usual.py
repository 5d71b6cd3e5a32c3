"""What the usual form of requests and answers is read by: msgspec, which steps over the texts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
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
