"""Content encodings, undone beside the path of the user's own bytes and in bounded memory."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

SLICE_BYTES = 64 * 1024  # about this much is inflated at a time: a gzip bomb stays small
CODINGS_MAX = 5  # on top of each other, as in httpx2
ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that a frame may ask for over HTTP (RFC 9659)
# A block of 4 bytes can stand for 128 KiB: so much goes at a time where output has no limit.
ZSTD_PIECE_BYTES = 256


class Decoder(Protocol):
    """Turns encoded bytes into plain ones, slice by slice."""

    @property
    def failed(self) -> bool:
        """Whether the bytes are not what the header says; nothing more comes out then."""
        ...

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the plain bytes of the next chunk; damaged data ends them, without an error."""
        ...


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self.failed = False
        self._inflate = zlib.decompressobj(window_bits)
        self._raw_allowed = window_bits == zlib.MAX_WBITS

    def decode(self, data: bytes) -> Iterator[bytes]:
        while plain := self._slice(data):
            yield plain
            data = self._inflate.unconsumed_tail

    def _slice(self, data: bytes) -> bytes:
        if self.failed or self._inflate.eof:  # what follows a gzip member is ignored, as in httpx
            return b""
        try:
            plain = self._inflate.decompress(data, SLICE_BYTES)
        except zlib.error:
            return self._without_header(data)
        self._raw_allowed = False
        return plain

    def _without_header(self, data: bytes) -> bytes:
        """Some servers send "deflate" without the zlib header."""
        self.failed = not self._raw_allowed
        self._raw_allowed = False
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._slice(data)


class _Brotli:
    """The `brotli` package's `process`, or `brotlicffi`'s `decompress`."""

    def __init__(self, module: Any) -> None:
        self.failed = False
        self._error: type[Exception] = module.error
        decompressor = module.Decompressor()
        self._take: Callable[..., bytes] = (
            getattr(decompressor, "process", None) or decompressor.decompress
        )
        try:
            self._take(b"", output_buffer_limit=SLICE_BYTES)
        except TypeError:  # before 1.2 the output could not be limited
            self._limit: dict[str, int] = {}
        else:
            self._limit = {"output_buffer_limit": SLICE_BYTES}

    def decode(self, data: bytes) -> Iterator[bytes]:
        while plain := self._slice(data):
            yield plain
            data = b""

    def _slice(self, data: bytes) -> bytes:
        if self.failed:
            return b""
        try:
            return self._take(data, **self._limit)
        except self._error:
            self.failed = True
            return b""


class _Zstd:
    """`compression.zstd` of Python 3.14, or its backport; frames may follow one another."""

    def __init__(self, module: Any) -> None:
        self.failed = False
        self._error: type[Exception] = module.ZstdError
        window = {module.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        self._fresh: Callable[[], Any] = lambda: module.ZstdDecompressor(options=window)
        self._frame = self._fresh()

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._frame.needs_input or self._frame.eof):
            plain = self._slice(data)
            if plain:
                yield plain
            data = self._frame.unused_data if self._frame.eof else b""
            if self.failed or not (plain or data):
                return

    def _slice(self, data: bytes) -> bytes:
        if self._frame.eof:
            self._frame = self._fresh()
        try:
            plain: bytes = b"" if self.failed else self._frame.decompress(data, SLICE_BYTES)
        except self._error:
            self.failed = True
            return b""
        return plain


class _Zstandard:
    """The `zstandard` package, which httpx uses: its output has no limit, so pieces are small."""

    def __init__(self, module: Any) -> None:
        self.failed = False
        self._error: type[Exception] = module.ZstdError
        one = module.ZstdDecompressor(max_window_size=1 << ZSTD_WINDOW_LOG)
        self._fresh: Callable[[], Any] = one.decompressobj
        self._frame = self._fresh()

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), ZSTD_PIECE_BYTES):
            yield from self._piece(data[start : start + ZSTD_PIECE_BYTES])

    def _piece(self, data: bytes) -> Iterator[bytes]:
        while data and not self.failed:
            if self._frame.eof:
                self._frame = self._fresh()
            try:
                plain: bytes = self._frame.decompress(data)
            except self._error:
                self.failed = True
                return
            if plain:
                yield plain
            data = self._frame.unused_data if self._frame.eof else b""


class _Chain:
    """Several codings on top of each other; the last one applied is undone first."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    @property
    def failed(self) -> bool:
        return any(decoder.failed for decoder in self._decoders)

    def decode(self, data: bytes) -> Iterator[bytes]:
        chunks: Iterator[bytes] = iter((data,))
        for decoder in self._decoders:
            chunks = _through(decoder, chunks)
        return chunks


def _through(decoder: Decoder, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from decoder.decode(chunk)


def open_decoder(encoding: str) -> Decoder | None:
    """Return the decoder for a content-encoding header, or None if it cannot be read here."""
    names = [name for part in encoding.split(",") if (name := part.strip().lower())]
    codings = [name for name in reversed(names) if name != "identity"]
    if len(codings) == 1:
        return _open(codings[0])
    opened = [_open(name) for name in codings[:CODINGS_MAX]]
    known = [decoder for decoder in opened if decoder is not None]
    return _Chain(known) if len(known) == len(codings) else None


def _open(name: str) -> Decoder | None:
    if name in {"gzip", "x-gzip"}:
        return _Zlib(zlib.MAX_WBITS | 16)
    if name == "deflate":
        return _Zlib(zlib.MAX_WBITS)
    for module, make in _OPTIONAL.get(name, ()):
        try:
            return make(importlib.import_module(module))
        except (ImportError, AttributeError):  # another module of that name is no use either
            continue
    return None


# Whoever can receive br or zstd has one of these: the SDKs ask only for what they can read.
_OPTIONAL: dict[str, tuple[tuple[str, Callable[[Any], Decoder]], ...]] = {
    "br": (("brotli", _Brotli), ("brotlicffi", _Brotli)),
    "zstd": (
        ("compression.zstd", _Zstd),
        ("backports.zstd", _Zstd),
        ("zstandard", _Zstandard),
    ),
}
