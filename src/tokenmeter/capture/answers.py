"""How an answer is read: by its status, its content type and its content encoding."""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.capture.decode import Decoder, open_decoder
from tokenmeter.capture.eventstream import CONTENT_TYPE, SSE_TYPE, Frames
from tokenmeter.capture.observation import FAILED_FROM
from tokenmeter.capture.reader import BodyReader, Reader, SilentReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.base import Call


def open_reader(
    call: Call, status: int, headers: Mapping[str, str], *, decoded: bool, strips: bool
) -> tuple[Reader, Decoder | None]:
    """
    Return what reads an answer, and what undoes its encoding first, if that is needed.

    `decoded`: it comes without its content-encoding. `strips`: a stream has our usage chunk.
    """
    content_type = headers.get("content-type", "")
    encoding = "" if decoded else headers.get("content-encoding", "")
    decoder: Decoder | None = None
    if encoding not in {"", "identity"}:
        decoder = open_decoder(encoding)
        if decoder is None:
            return _told(call, headers, SilentReader(encoding)), None
    elif content_type.startswith(CONTENT_TYPE) and status < FAILED_FROM:
        decoder, content_type = Frames(), SSE_TYPE
    streamed = "event-stream" in content_type or (not content_type and call.streamed)
    if streamed and status < FAILED_FROM:
        return _told(call, headers, EventReader(call.api, strip_usage=strips)), decoder
    return _told(call, headers, BodyReader(call.api, content_type)), decoder


def _told(call: Call, headers: Mapping[str, str], reader: Reader) -> Reader:
    """Let a reader begin with what the headers report."""
    if call.api.read_headers is not None:
        reader.reading = call.api.read_headers(headers)
    return reader
