"""Ids in few bytes: 17 instead of 36 for what our own capture and most clients make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

# The first byte says what follows: 16 bytes that were 32 small hex digits behind a prefix, or
# text. A number stands in databases for ever: new prefixes come at the end.
_TEXT = 0
_PREFIXES = ("", "evt_", "run_", "call_")
_CODES = {prefix: bytes([code]) for code, prefix in enumerate(_PREFIXES, start=1)}
_HEX_DIGITS = 32


def pack(text: str) -> bytes:
    """Return the bytes of an id; text that UTF-8 cannot write raises UnicodeEncodeError."""
    code = _CODES.get(text[:-_HEX_DIGITS])
    if code is not None and len(text) >= _HEX_DIGITS:
        written = text[-_HEX_DIGITS:]
        try:
            read = bytes.fromhex(written)
        except ValueError:
            return b"\0" + text.encode()
        if read.hex() == written:  # not so where there are large digits, or spaces
            return code + read
    return b"\0" + text.encode()


def pack_all(texts: Sequence[str]) -> list[bytes]:
    """Return what `pack` makes of each: at once, if all have one prefix."""
    prefix = texts[0][:-_HEX_DIGITS] if texts else ""
    digits = "".join([text[-_HEX_DIGITS:] for text in texts])
    if {text[:-_HEX_DIGITS] for text in texts} == {prefix} and prefix in _CODES:
        try:
            read = bytes.fromhex(digits)
        except ValueError:
            return list(map(pack, texts))
        if len(digits) == len(texts) * _HEX_DIGITS and read.hex() == digits:
            code, size = _CODES[prefix], _HEX_DIGITS // 2
            return [code + read[at : at + size] for at in range(0, len(read), size)]
    return list(map(pack, texts))


def can_be_stored(text: str) -> bool:
    """Tell whether an event can hold a text: no NUL, and nothing that is no Unicode."""
    return "\x00" not in text and text.encode(errors="ignore").decode() == text


def unpack(packed: bytes) -> str:
    """Return the id of `pack(...)`."""
    code, rest = packed[0], packed[1:]
    return rest.decode() if code == _TEXT else _PREFIXES[code - 1] + rest.hex()


class PackedId(TypeDecorator[str]):
    """A column of ids: text in Python, packed bytes in the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Pack what goes in."""
        return None if value is None else pack(value)

    def process_result_value(
        self,
        value: Any,
        dialect: Dialect,  # noqa: ARG002
    ) -> str | None:
        """Unpack what comes out."""
        return None if value is None else unpack(bytes(value))
