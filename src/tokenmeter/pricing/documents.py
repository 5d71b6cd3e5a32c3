"""What a document in a prompt holds: its pages, where the request carries the file itself."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import zlib
from collections.abc import Iterator

from tokenmeter.providers.base import Json, mapping

PDF_CHARS_MAX = 16 * 1024 * 1024  # of base64; a longer file is not opened
OBJECTS_BYTES_MAX = 16 * 1024 * 1024  # of its compressed objects that are looked through
PACKED_CHARS = 4_096  # a longer text of base64's letters alone is a file, not a prompt
_PACKED = re.compile(r"(?:data:[^,]{0,256},)?[A-Za-z0-9+/=_-]*")
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,5})\b")
_OBJECTS = re.compile(rb"/ObjStm.{0,400}?stream\r?\n", re.DOTALL)
_END = b"endstream"
_START = b"%PDF-"


def is_packed(text: str) -> bool:
    """Say whether a text is a file in base64."""
    return len(text) > PACKED_CHARS and _PACKED.fullmatch(text) is not None


def pdf_pages(text: object) -> int | None:
    """
    Return how many pages a PDF in base64 has; None for what is none, or does not say.

    Its pages are objects, plain or, as most files have them today, packed into compressed ones;
    where they are compressed otherwise, there is a count of them.
    """
    if not isinstance(text, str) or not text or len(text) > PDF_CHARS_MAX:
        return None
    whole = text.translate(_URL_SAFE)
    try:
        data = base64.b64decode(whole + "=" * (-len(whole) % 4))
    except (binascii.Error, ValueError):
        return None
    if not data.startswith(_START):
        return None
    parts = [data, *_unpacked(data)]
    pages = sum(len(_PAGE.findall(part)) for part in parts)
    counts = (int(count) for part in parts for count in _COUNT.findall(part))
    return pages or max(counts, default=0) or None


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield the objects of a PDF that are packed together; what cannot be unpacked is left out."""
    left, whole = OBJECTS_BYTES_MAX, memoryview(data)
    for found in _OBJECTS.finditer(data):
        begin = found.end()
        end = data.find(_END, begin)
        with contextlib.suppress(zlib.error):
            plain = zlib.decompressobj().decompress(whole[begin:end], left)
            left -= len(plain)
            yield plain
        if left <= 0:
            return


_URL_SAFE = str.maketrans("-_", "+/")


def file_of(item: Json) -> object:
    """Return a document's own base64, in the format of Anthropic or of Google; None for a link."""
    blob = mapping(item.get("inlineData") or item.get("inline_data"))
    return blob.get("data") or mapping(item.get("source")).get("data")


def texts_of(item: Json) -> list[str]:
    """Return the texts of a document or a search result that is text; [] if it is none."""
    source = item.get("source")
    told = mapping(source)
    content = told.get("content") if told.get("type") == "content" else item.get("content")
    found = [told.get("data") if told.get("type") == "text" else content]
    found += content if isinstance(content, list) else []
    texts = [mapping(part).get("text") if isinstance(part, dict) else part for part in found]
    known = [text for text in texts if isinstance(text, str)]
    around = (item.get("title"), item.get("context"), source)
    return [*known, *(text for text in around if isinstance(text, str))] if known else []
