"""An answer to a request for a stream whose content type does not say that it is one."""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.capture.eventstream import PRELUDE_BYTES, Frames, begins_frames
from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.base import Api

# How a stream of events may begin; a colon begins a comment.
BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\xef\xbb\xbf")


class UnsureReader(EventReader):
    """
    Reads events, or frames of AWS, if the first bytes show such; else a body.

    That is an error, Gemini's list or sound. The few bytes that may be the beginning of
    either are kept as an unfinished event is.
    """

    __slots__ = ("_body", "_content_type", "_frames", "_is_open", "_strips")

    def __init__(self, api: Api, content_type: str, *, strip_usage: bool = False) -> None:
        super().__init__(api, strip_usage=strip_usage)
        self._content_type = content_type
        self._strips = strip_usage
        self._is_open = True  # which of them it is
        self._body: BodyReader | None = None
        self._frames: Frames | None = None

    @property
    def is_events(self) -> bool:
        """Whether it reads events, as far as that is known."""
        return self._body is None

    def quiet(self, data: bytes) -> bool:
        """Count `data` and return True if it is whole events that hold nothing for us."""
        is_events = not self._is_open and self._body is None and self._frames is None
        return is_events and super().quiet(data)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those the user is to get."""
        if self._is_open and not self._decided(self._pending + data):
            self._pending += data
            return b"" if self._strips else data
        if self._frames is not None:
            return self._feed_frames(self._frames, data)
        if self._body is None:
            return super().feed(data)
        held, self._pending = self._pending, b""
        self._body.feed(held + data)
        # A list is read to its end, whatever its elements say: it ends with the answer.
        self.reading = replace(self._body.reading, state=None)
        return held + data if self._strips else data

    def _feed_frames(self, frames: Frames, data: bytes) -> bytes:
        begun, self._pending = self._pending, b""
        for event in frames.decode(begun + data):
            super().feed(event)
        if frames.doubts is not None:
            self.reading |= frames.doubts
        return data

    def body(self) -> bytes | None:
        """Return all that was fed, if it is a small body of which nothing has been read yet."""
        return None if self._body is None else self._body.body()

    def end(self) -> bytes:
        """Read what is left; return what was held back."""
        held = b""
        if self._is_open:
            held = self._pending
            self._into_body().feed(held)
        if self._body is None:
            return super().end()
        self._body.end()
        self.reading = self._body.reading
        return held if self._strips else b""

    def _decided(self, begun: bytes) -> bool:
        start = begun.lstrip()
        if any(beginning.startswith(start) for beginning in BEGINNINGS):
            return False
        if begun[:1] == b"\0" and len(begun) < PRELUDE_BYTES:
            return False
        self._is_open = False
        if begins_frames(begun) and not self._strips:
            self._frames = Frames()
        elif not start.startswith(BEGINNINGS):
            self._into_body()
        return True

    def _into_body(self) -> BodyReader:
        self._is_open = False
        self._body = body = BodyReader(self._api, self._content_type)
        body.reading = self.reading  # what the headers said
        return body
