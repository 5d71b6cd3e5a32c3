"""
The body of a requests or botocore answer: urllib3's response, or any file.

Users read it in many ways, themselves or through methods of requests and botocore. Each way
stays the library's own; we look at what it returns.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import wrapt

from tokenmeter.capture.taps.answer import Answer
from tokenmeter.capture.taps.drain import chunks_left, drain
from tokenmeter.capture.taps.shut import WatchedConnection

Pull = Callable[[], bytes | None]


class WatchedRaw(wrapt.ObjectProxy[Any]):
    """The user's body, with the methods in between that read and close it."""

    def __init__(self, raw: Any, answer: Answer) -> None:
        super().__init__(raw)
        self._self_body = Body(raw, answer)

    def __getattr__(self, name: str) -> Any:
        if name == "data" and inspect.getattr_static(self.__wrapped__, name, None) is not None:
            return self._self_body.everything()
        found = getattr(self.__wrapped__, name)
        if name == "connection" and found is not None:
            return WatchedConnection(found, self._self_body.left)
        watch = _WATCHED.get(name)
        return found if watch is None else partial(watch, self._self_body, found)

    def __iter__(self) -> Iterator[bytes]:
        self._self_body.begin(decodes=self._self_body.lines_decode)
        return self._self_body.stream(iter(self.__wrapped__), ahead=True)

    def __next__(self) -> bytes:
        self._self_body.begin(decodes=None)
        line = self._self_body.line(partial(next, self.__wrapped__, b""))
        if not line:
            raise StopIteration
        return line

    def __enter__(self) -> WatchedRaw:
        self.__wrapped__.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Body:
    """
    What has been read of one body; closes the exchange once, however the reading ends.

    An edited body holds back what was read and not asked for yet.
    """

    def __init__(self, raw: Any, answer: Answer) -> None:
        self._raw = raw
        self._answer = answer
        self._held = bytearray()
        self._ended = False
        self._decodes: bool | None = None  # whether the library undoes the content-encoding
        self._chunks: Any = None  # the library's iterator, once it was asked for
        self._ahead = False
        self._all: bytes | None = None

    def __del__(self) -> None:
        exchange = self._answer.exchange
        if exchange.is_open and not exchange.is_draining:
            exchange.close()

    def begin(self, *, decodes: bool | None) -> None:
        """Note, with the first read, whether the bytes come decoded; None: as by default."""
        if self._decodes is None:
            default = getattr(self._raw, "decode_content", False)
            self._decodes = bool(default if decodes is None else decodes)
            if self._answer.encoded and not self._decodes:
                self._answer.begin(decoded=False)

    def read(self, pull: Pull, amount: int | None) -> bytes:
        """Read `amount` bytes, or all."""
        if not self._answer.edits:
            return self._pull(pull, at_once=amount is None, maybe_empty=amount == 0)
        if amount is None:
            self._held += b"" if self._ended else self._pull(pull, at_once=True)
        else:
            self._fill(pull, lambda held: len(held) >= amount)
        return self._cut(amount)

    def some(self, pull: Pull, amount: int | None) -> bytes:
        """Read what is there, at most `amount` bytes."""
        if not self._answer.edits:
            return self._pull(pull, maybe_empty=amount == 0)
        self._fill(pull, lambda held: bool(held) or amount == 0)
        return self._cut(amount)

    def line(self, pull: Pull) -> bytes:
        """Read a line."""
        if not self._answer.edits:
            return self._pull(pull)
        self._fill(pull, lambda held: b"\n" in held)
        return self._cut(self._held.find(b"\n") + 1 or None)

    def everything(self) -> bytes:
        """Read all at once, as urllib3's `data` does; again and again."""
        if self._all is None:
            self.begin(decodes=None)
            self._all = self.read(lambda: self._raw.data, None)
        return self._all

    def stream(self, chunks: Iterator[bytes], *, ahead: bool = False) -> Iterator[bytes]:
        """Hand on the chunks of the library's iterator; `ahead`: it reads more than it gives."""
        self._chunks, self._ahead = chunks, ahead
        take = self._answer.take
        try:
            for data in chunks:
                given = self._cut(None) + take(data)
                if self._is_read():
                    given += self._answer.ended()
                if given:
                    yield given
        except GeneratorExit:
            self._left(chunks)
            raise
        except BaseException as error:
            self._answer.exchange.fail(error)
            raise
        self._ended = True
        given = self._cut(None) + self._answer.ended()
        if given:
            yield given

    def gone(self) -> bool:
        """The user reads no further; say whether we do."""
        answer, raw, exchange = self._answer, self._raw, self._answer.exchange
        if exchange.is_draining:
            return True
        if exchange.is_open and self._is_read():
            answer.ended()
        if not exchange.drains():
            exchange.close()
            return False
        pieces = answer.rest(self._chunks or chunks_left(raw, decodes=self._decodes))
        exchange.later(lambda: drain(exchange, pieces, raw))
        return True

    def left(self) -> None:
        """The user is about to end the reading, maybe that of another thread: say so first."""
        if not self.is_draining:
            self._answer.exchange.cancelled()

    @property
    def lines_decode(self) -> bool | None:
        """Whether iterating over the lines undoes the content-encoding: urllib3's does."""
        return True if hasattr(self._raw, "read_chunked") else None

    @property
    def is_draining(self) -> bool:
        """Whether we read on without the user."""
        return self._answer.exchange.is_draining

    def _left(self, chunks: Any) -> None:
        """The user iterates no further. Another iterator may go on, unless urllib3 closes."""
        if getattr(self._raw, "chunked", False) and self.gone():
            return
        if hasattr(chunks, "close"):
            chunks.close()
        if getattr(self._raw, "closed", False):
            self.gone()

    def _pull(self, pull: Pull, *, at_once: bool = False, maybe_empty: bool = False) -> bytes:
        """Let the library read once; return what the user is to get of it."""
        try:
            data = pull()
        except TypeError:  # the method was called wrongly: nothing was read
            raise
        except BaseException as error:
            self._answer.exchange.fail(error)
            raise
        given = self._answer.take(data) if data else b""
        if at_once or self._is_read() or not (data or maybe_empty):
            self._ended = True
            held = self._answer.ended()
            return given + held if held else given  # what is given may be no bytes
        return given

    def _fill(self, pull: Pull, enough: Callable[[bytearray], bool]) -> None:
        while not self._ended and not enough(self._held):
            self._held += self._pull(pull)

    def _cut(self, amount: int | None) -> bytes:
        held = self._held
        taken = bytes(held if amount is None else held[:amount])
        del held[: len(taken)]
        return taken

    def _is_read(self) -> bool:
        """Whether all has been seen, as the length says; a decoder may still hold some."""
        if self._ahead or self._answer.encoded:
            return False
        return getattr(self._raw, "length_remaining", None) == 0


def _amount(args: tuple[Any, ...], named: dict[str, Any]) -> int | None:
    """How many bytes a call of `read` asks for; None for all."""
    value = args[0] if args else named.get("amt", named.get("size"))
    try:
        amount = -1 if value is None else operator.index(value)
    except TypeError:  # the library is going to say so
        amount = -1
    return None if amount < 0 else amount


def _begin(body: Body, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    body.begin(decodes=named.get("decode_content", args[1] if len(args) > 1 else None))


def _read(body: Body, method: Any, *args: Any, **named: Any) -> bytes:
    _begin(body, args, named)
    return body.read(partial(method, *args, **named), _amount(args, named))


def _read1(body: Body, method: Any, *args: Any, **named: Any) -> bytes:
    _begin(body, args, named)
    return body.some(partial(method, *args, **named), _amount(args, named))


def _readinto(body: Body, method: Any, buffer: Any) -> int:
    try:
        view = memoryview(buffer).cast("B")
    except TypeError:  # no buffer: the library says so
        return int(method(buffer))
    body.begin(decodes=None)
    data = body.read(lambda: bytes(view[: method(buffer) or 0]), len(view))
    view[: len(data)] = data
    return len(data)


def _readline(body: Body, method: Any, *args: Any) -> bytes:
    body.begin(decodes=None)
    return body.line(partial(method, *args))


def _readlines(body: Body, method: Any) -> list[bytes]:
    body.begin(decodes=body.lines_decode)
    return body.read(lambda: b"".join(method()), None).splitlines(keepends=True)


def _stream(body: Body, method: Any, *args: Any, **named: Any) -> Iterator[bytes]:
    _begin(body, args, named)
    return body.stream(iter(method(*args, **named)))


def _json(body: Body, method: Any) -> Any:
    body.everything()
    return method()


def _close(body: Body, method: Any) -> None:
    if not body.gone():
        method()


def _shutdown(body: Body, method: Any) -> None:
    body.left()
    method()


def _release(body: Body, method: Any) -> None:
    if not body.is_draining:
        method()


_WATCHED: dict[str, Callable[..., Any]] = {
    "read": _read,
    "read1": _read1,
    "readinto": _readinto,
    "readline": _readline,
    "readlines": _readlines,
    "stream": _stream,
    "read_chunked": _stream,
    "json": _json,
    "close": _close,
    "shutdown": _shutdown,
    "release_conn": _release,
}
