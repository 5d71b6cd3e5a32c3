"""How an answer is read: by its status, its content type and its content encoding."""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.capture.decode import Decoder, open_decoder
from tokenmeter.capture.eventstream import CONTENT_TYPE, SSE_TYPE, Frames
from tokenmeter.capture.observation import FAILED_FROM
from tokenmeter.capture.reader import BodyReader, Reader, SilentReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.capture.unsure import UnsureReader
from tokenmeter.providers.base import Call


def open_reader(
    call: Call, status: int, headers: Mapping[str, str], *, decoded: bool, strips: bool
) -> tuple[Reader, Decoder | None]:
    """
    Return what reads an answer, and what undoes its encoding first, if that is needed.

    `decoded`: it comes without its content-encoding. `strips`: a stream has our usage chunk.
    """
    content_type = headers.get("content-type", "").lower()
    encoding = "" if decoded else headers.get("content-encoding", "")
    decoder: Decoder | None = None
    if encoding not in {"", "identity"}:
        decoder = open_decoder(encoding)
        if decoder is None:
            return _told(call, headers, SilentReader(encoding)), None
    elif content_type.startswith(CONTENT_TYPE) and status < FAILED_FROM:
        decoder, content_type = Frames(), SSE_TYPE
    if status < FAILED_FROM and "event-stream" in content_type:
        return _told(call, headers, EventReader(call.api, strip_usage=strips)), decoder
    if status < FAILED_FROM and (call.streamed or not content_type):
        unsure = UnsureReader(call.api, content_type, strip_usage=strips)
        return _told(call, headers, unsure), decoder
    return _told(call, headers, BodyReader(call.api, content_type)), decoder


def _told(call: Call, headers: Mapping[str, str], reader: Reader) -> Reader:
    """Let a reader begin with what the headers report."""
    if call.api.read_headers is not None:
        reader.reading = call.api.read_headers(headers)
    return reader
