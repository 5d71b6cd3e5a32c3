"""The fields of a form, read as servers read them, however a client writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

FIELD_BYTES_MAX = 4 * 1024  # a form field longer than this is no parameter

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^";,\s]+))', re.IGNORECASE)
# A header's line, and those that continue it.
_DISPOSITION = re.compile(
    rb"^content-disposition\s*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.I | re.M
)
_PARAMETER = re.compile(
    rb';\s*([a-z]+)(\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.IGNORECASE
)
_ESCAPED = re.compile(rb'\\(["\\])')
_CHARSET = re.compile(rb"\A[^']*'[^']*'")  # before a value that is written in percent signs


def form_fields(body: bytes, content_type: str) -> dict[str, str]:
    """
    Return the plain fields of a multipart body; files are named, their bytes left out.

    {} if it is not clear where its parts end. Of a field that is there twice the later one
    counts, but of two numbers the larger: servers differ in which they take.
    """
    found = {quoted or plain for quoted, plain in _BOUNDARY.findall(content_type)}
    if len(found) != 1:
        return {}
    fields: dict[str, str] = {}
    for part in body.split(b"--" + found.pop().encode()):
        head, _, value = part.partition(b"\r\n\r\n")
        said = dict(_parameters(head))
        name = said.get("name")
        if name is None:
            continue
        told = value[:FIELD_BYTES_MAX].removesuffix(b"\r\n").decode(errors="replace").strip()
        if "filename" in said and not told.isdecimal():  # a number is one to some, as a file, too
            fields.setdefault(name, "")
        elif len(value) <= FIELD_BYTES_MAX:
            fields[name] = _larger(fields.get(name, ""), told)
    return fields


def _parameters(head: bytes) -> Iterator[tuple[str, str]]:
    """Yield what the first line of a part says of it: names in lower case, values unescaped."""
    line = _DISPOSITION.search(head)
    for name, encoded, quoted, plain in _PARAMETER.findall(line[1] if line else b""):
        value: bytes = _ESCAPED.sub(rb"\1", quoted) or plain
        if encoded:
            value = unquote_to_bytes(_CHARSET.sub(b"", value))
        yield name.decode().lower(), value.decode(errors="replace")


def _larger(before: str, now: str) -> str:
    if before.isdecimal() and now.isdecimal() and int(before) > int(now):
        return before
    return now
