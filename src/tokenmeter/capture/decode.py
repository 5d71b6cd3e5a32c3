"""Content encodings, undone beside the path of the user's own bytes and in bounded memory."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator
from typing import Protocol

SLICE_BYTES = 64 * 1024  # at most this much is inflated at a time: a gzip bomb stays small


class Decoder(Protocol):
    """Turns encoded bytes into plain ones, slice by slice."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the plain bytes of the next chunk."""
        ...


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)
        self._raw_allowed = window_bits == zlib.MAX_WBITS

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            try:
                plain = self._inflate.decompress(data, SLICE_BYTES)
            except zlib.error:
                if not self._raw_allowed:
                    raise
                # Some servers send "deflate" without the zlib header.
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                plain = self._inflate.decompress(data, SLICE_BYTES)
            self._raw_allowed = False
            data = self._inflate.unconsumed_tail
            if plain:
                yield plain


class _Whole:
    """A decoder that another library brings: brotli's `process`, zstd's `decompress`."""

    def __init__(self, decompressor: object, method: str) -> None:
        self._decompress = getattr(decompressor, method)

    def decode(self, data: bytes) -> Iterator[bytes]:
        plain: bytes = self._decompress(data)
        if plain:
            yield plain


def open_decoder(encoding: str) -> Decoder | None:
    """Return the decoder for a content-encoding header, or None if it cannot be read here."""
    name = encoding.strip().lower()
    if name in {"gzip", "x-gzip"}:
        return _Zlib(zlib.MAX_WBITS | 16)
    if name == "deflate":
        return _Zlib(zlib.MAX_WBITS)
    for module, factory, method in _OPTIONAL.get(name, ()):
        try:
            made = getattr(importlib.import_module(module), factory)()
        except ImportError:
            continue
        return _Whole(made, method)
    return None


# Whoever can receive br or zstd has one of these: the SDKs ask only for what they can read.
_OPTIONAL = {
    "br": (("brotli", "Decompressor", "process"), ("brotlicffi", "Decompressor", "decompress")),
    "zstd": (
        ("compression.zstd", "ZstdDecompressor", "decompress"),
        ("backports.zstd", "ZstdDecompressor", "decompress"),
        ("zstandard", "_ZstdStream", "decompress"),
    ),
}
