"""Every way in which users read the body of a requests answer, to the end."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response


def _readinto(response: Response) -> bytes:
    buffer, found = bytearray(97), b""
    while size := response.raw.readinto(buffer):
        found += bytes(buffer[:size])
    return found


def _copied(response: Response) -> bytes:
    copy = io.BytesIO()
    shutil.copyfileobj(response.raw, copy, 97)
    return copy.getvalue()


def _with_raw(response: Response) -> bytes:
    with response.raw as raw:
        found: bytes = raw.read()
    return found


def _until_empty(read: Callable[[], Any]) -> bytes:
    return b"".join(iter(read, b""))


WAYS: dict[str, Callable[[Response], bytes]] = {
    "content": lambda response: response.content,
    "text": lambda response: response.text.encode(),
    "iter_content": lambda response: b"".join(response.iter_content(97)),
    "iter_content 1": lambda response: b"".join(response.iter_content()),
    "iter_content None": lambda response: b"".join(response.iter_content(None)),
    "iter_lines": lambda response: b"\n".join(response.iter_lines()),
    "iter": b"".join,
    "raw.read all": lambda response: response.raw.read(),
    "raw.read decoded": lambda response: response.raw.read(decode_content=True),
    "raw.read": lambda response: _until_empty(lambda: response.raw.read(97)),
    "raw.read amt": lambda response: _until_empty(lambda: response.raw.read(amt=97)),
    "raw.read1": lambda response: _until_empty(lambda: response.raw.read1(97)),
    "raw.readline": lambda response: _until_empty(response.raw.readline),
    "raw.readlines": lambda response: b"".join(response.raw.readlines()),
    "raw.readinto": _readinto,
    "raw.stream": lambda response: b"".join(response.raw.stream(97)),
    "raw.stream decoded": lambda response: b"".join(response.raw.stream(97, decode_content=True)),
    "raw.data": lambda response: response.raw.data,
    "iter raw": lambda response: b"".join(response.raw),
    "next raw": lambda response: _until_empty(lambda: next(response.raw, b"")),
    "with raw": _with_raw,
    "copyfileobj": _copied,
    "buffered": lambda response: io.BufferedReader(response.raw).read(),
}
