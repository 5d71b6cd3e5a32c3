"""
Server-sent events, watched as they pass.

The user's bytes go on as they came. A chunk that holds none of the adapter's needles costs a
few substring searches; only events that hold one are parsed. Memory is constant: at most one
unfinished event is kept, and a large one is squeezed.
"""

from __future__ import annotations

from tokenmeter.capture.likeness import UNLIKE, likeness
from tokenmeter.capture.needles import holds_needle
from tokenmeter.capture.passed import BOUNDARY, Passed, event_data
from tokenmeter.capture.reader import NOT_JSON, TOO_LARGE, fold_parsed, parse
from tokenmeter.capture.squeeze import Squeezed
from tokenmeter.providers.base import NO_READING, Api, Plain, PlainStream, Reading

HELD_BYTES_MAX = 64 * 1024  # an edited stream holds back at most this much of one event
COUNT_EVERY = 16  # of so many quiet chunks one has its events counted, for all of them
COMPARED_MAX = 32  # chunks of a stream, to learn what they have in common
LIKE_BYTES_MAX = 2 * 1024  # of a longer chunk nothing is learned: it holds several events
FIRST_EVENTS = 3  # so many are parsed to find the id of the answer
NAMELESS_BYTES_MAX = 256 * 1024  # so far they may lie from the beginning
TAIL_BYTES = 3  # of a boundary may stand in the chunk before its last byte

_ENDS = (b"\n\n", b"\r\n\r\n")
CUT_SHORT = Reading(flags=frozenset({"cut_short"}))  # the stream ended without its end marker


class EventReader:
    """Reads a server-sent event stream; with `strip_usage`, takes our extra chunk out of it."""

    __slots__ = (
        *("_alike", "_api", "_compared", "_counted", "_first", "_large", "_large_at", "_last"),
        *("_likes", "_named", "_needles", "_passed", "_pending", "_quiet", "_reading"),
        *("_samples", "_slow", "_strip", "_tail", "_unread", "bytes_seen", "events_seen"),
        "plain",
    )

    def __init__(self, api: Api, *, strip_usage: bool = False) -> None:
        self._reading: Reading = NO_READING
        self._first: Reading | None = None  # of a stream that is a usual one so far
        self.plain: Plain | None = None  # all that the stream says, if it is a usual one
        self._unread = b""  # the event that `plain` comes from, not in `reading` yet
        self.bytes_seen = 0
        self.events_seen = 0
        self._api = api
        self._needles = (*api.needles, api.done) if api.done else api.needles
        self._quiet = 0  # chunks
        self._counted = 0  # their events, in one of COUNT_EVERY
        self._slow = True  # at the beginning, and within a large event
        self._strip = strip_usage
        self._named = 0  # how many events were parsed in search of an id
        self._pending = b""  # the unfinished event at the end
        self._large: Squeezed | None = None  # the same, once it has become large
        self._large_at = 0  # the byte of the stream where it begins
        self._tail = b""  # the end of the last chunk of a large event
        self._alike = UNLIKE  # what the chunks that were searched have in common
        self._last = b""  # of these
        self._compared = 0  # how often
        self._likes = 0  # chunks that were alike
        self._passed = Passed(api)
        self._samples = True  # whether it wants more of them

    @property
    def reading(self) -> Reading:
        """What was reported so far."""
        if self._unread:
            payload, self._unread, self.plain = self._unread, b"", None
            self._fold_slowly(payload)
        return self._reading

    @reading.setter
    def reading(self, reading: Reading) -> None:
        """Go on from another reading."""
        self._reading = reading

    @property
    def is_said(self) -> bool:
        """Whether the provider has said that the answer is complete, and no failure."""
        return self.plain is not None or self._reading.state == "success"

    @property
    def is_events(self) -> bool:
        """Whether it reads events, as far as that is known."""
        return True

    def quiet(self, data: bytes) -> bool:
        """
        Count `data` and return True if it is whole events that hold nothing for us.

        The user is to get them as they came. Where it is False, `feed` them.
        """
        if self._slow or self._pending:
            return False
        before, start, middle, length, after, rest, _ = self._alike
        if data.startswith(before):  # as in Likeness.is_like, without the call
            at = data.find(b'"', start)
            if middle and data.startswith(middle, at):
                at = data.find(b'"', at + length)
            if at == len(data) - rest and data.endswith(after):
                self._likes += 1
                self.bytes_seen += len(data)
                if self._samples:
                    self._samples = self._passed.take(data)
                return True
        return self._search(data)

    def _search(self, data: bytes) -> bool:
        """Do what `quiet` says for a chunk that is not as those before it."""
        if not data.endswith(_ENDS) or holds_needle(data, self._needles):
            return False
        self.bytes_seen += len(data)
        self._samples = self._passed.take(data)
        if self._compared < COMPARED_MAX and len(data) <= LIKE_BYTES_MAX:
            self._compare(data)
        if self._quiet % COUNT_EVERY == 0:
            self._counted += data.count(b"data:")
        self._quiet += 1
        return True

    def _compare(self, data: bytes) -> None:
        """Learn what the chunks of this stream have in common, to search fewer of them."""
        last, self._last = self._last, data
        self._compared += 1
        alike = likeness(last, self._last)
        if alike is not None:
            self.events_seen += self._likes * self._alike.events
            self._likes, self._alike = 0, alike

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those the user is to get."""
        self.bytes_seen += len(data)
        whole = self._pending + data if self._pending else data
        if self._slow or holds_needle(whole, self._needles):
            return self._feed_slowly(data)
        return self._skip(whole, data)

    def body(self) -> bytes | None:
        """A stream is none."""
        return None

    def end(self) -> bytes:
        """Read the last event, which may lack its empty line; return what was held back."""
        held = self._pending
        if self._large is not None:
            self._read_large(self._large, self.bytes_seen)
            keep = False  # it has passed
        else:
            keep = self._read(held) if held.strip() else True
        self._pending = b""  # only now: after a fault of ours it is still to be had
        said = self.plain is not None or self._reading.state is not None
        if self._api.done is not None and self.events_seen and not said:
            self.reading = self.reading | CUT_SHORT
        return held if self._strip and keep else b""

    @property
    def held(self) -> bytes | None:
        """What an edited stream holds back; None once nothing is to be taken out any more."""
        return self._pending if self._strip else None

    def text_bytes(self) -> int:
        """Estimate the bytes of text that passed in whole events."""
        counted = -(-self._quiet // COUNT_EVERY) or 1  # chunks
        events = self.events_seen + self._counted * self._quiet // counted
        events += self._likes * self._alike.events
        unread = self.bytes_seen - self._large_at if self._large is not None else 0
        return self._passed.text_bytes(self.bytes_seen - unread - len(self._pending), events)

    def _skip(self, whole: bytes, data: bytes) -> bytes:
        """Pass whole events that hold nothing for us; keep the unfinished one."""
        cut = max(whole.rfind(b"\n\n") + 2, whole.rfind(b"\r\n\r\n") + 4, 4)
        cut = 0 if cut == 4 and not whole.startswith(b"\r\n\r\n") else cut
        if len(whole) - cut > HELD_BYTES_MAX:
            return self._feed_slowly(data)
        self.events_seen += whole.count(b"data:", 0, cut)
        self._pending = whole[cut:]
        self._passed.take(whole[:cut])
        return whole[:cut] if self._strip else data

    def _feed_slowly(self, data: bytes) -> bytes:
        """Go through the events one by one and read those that are wanted."""
        given = self._feed_events(data) if self._large is None else self._feed_large(data)
        nameless = self._named < FIRST_EVENTS and self.bytes_seen < NAMELESS_BYTES_MAX
        self._slow = nameless or self._large is not None
        return given

    def _feed_events(self, data: bytes) -> bytes:
        given: list[bytes] = []
        rest = self._pending + data
        start = 0
        for boundary in BOUNDARY.finditer(rest):
            raw = rest[start : boundary.end()]
            self._passed.take(raw)
            if self._read(raw) and self._strip:
                given.append(raw)
            start = boundary.end()
        self._pending = rest[start:]
        strips = self._strip
        if strips and self.is_said:
            given.append(self._pending)  # our chunk has been taken out: nothing more to hold
            self._strip = False
        if len(self._pending) > HELD_BYTES_MAX:
            if self._strip:
                given.append(self._pending)
            self._large = Squeezed()
            self._large.feed(self._pending)
            self._large_at = self.bytes_seen - len(self._pending)
            self._tail, self._pending = self._pending[-TAIL_BYTES:], b""
        return b"".join(given) if strips else data

    def _feed_large(self, data: bytes) -> bytes:
        """Go on with a large event: it passes at once, its skeleton is read at its end."""
        large = self._large
        if large is None:
            return data
        around = self._tail + data  # a boundary may begin in the chunk before
        boundary = BOUNDARY.search(around)
        if boundary is None:
            large.feed(data)
            self._tail = around[-TAIL_BYTES:]
            return data
        cut = boundary.end() - len(self._tail)
        large.feed(data[:cut])
        self._read_large(large, self.bytes_seen - len(data) + cut)
        return data[:cut] + self._feed_events(data[cut:])

    def _read_large(self, large: Squeezed, end: int) -> None:
        """Read what is left of a large event, which ends at a byte of the stream."""
        self._large = None
        self._passed.skip(end - self._large_at)
        if large.overflowed:
            self.reading = self.reading | TOO_LARGE
        else:
            self._read(bytes(large.kept))

    def _read(self, raw: bytes) -> bool:
        """Read one raw event; return False if it is the chunk that only we asked for."""
        payload = event_data(raw)
        if not payload:
            return True
        self.events_seen += 1
        if payload == self._api.done:
            if self.plain is None:
                self.reading = self.reading | Reading(state="success")
            return True
        if not self._is_wanted(payload):
            return True
        return self._fold(payload)

    def _fold(self, payload: bytes) -> bool:
        """Read one event; return False for the chunk to be taken out, which ends a stream."""
        usual = self._api.stream
        if usual is None or not self._fold_quickly(usual, payload):
            return self._fold_slowly(payload)
        return self.plain is None or not self._strip

    def _fold_quickly(self, usual: PlainStream, payload: bytes) -> bool:
        """Read the first event of a usual stream, or its last; False for any other."""
        if self._reading is NO_READING:
            first = usual.first(payload)
            if first is not None:
                self._reading = self._first = first
            return first is not None
        if self._reading is not self._first or self.plain is not None:
            return False  # more was said than the first event
        self.plain = usual.last(payload, self._reading)
        if self.plain is None:
            return False
        self._unread = payload
        return True

    def _fold_slowly(self, payload: bytes) -> bool:
        parsed, doubts = parse(payload)
        extra = self._strip and self.reading.state != "success" and is_only_usage(parsed)
        self.reading = self.reading | doubts
        if doubts is not NOT_JSON:
            self.reading = fold_parsed(self._api, self.reading, parsed)
        return not extra

    def _is_wanted(self, payload: bytes) -> bool:
        if self._named < FIRST_EVENTS:
            self._named += 1
            if self.reading.response_id is None or self._named == 1:
                return True
            self._named = FIRST_EVENTS
        return holds_needle(payload, self._needles)


def is_only_usage(parsed: object) -> bool:
    """Tell the extra chunk that `include_usage` adds: usage, and no choices."""
    return isinstance(parsed, dict) and parsed.get("choices") == [] and bool(parsed.get("usage"))
