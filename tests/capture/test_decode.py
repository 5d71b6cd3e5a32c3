"""Encoded answers: the user gets what he gets without us, and the usage is read beside it."""

from __future__ import annotations

import gzip
import importlib
import itertools
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture import wire
from tests.capture.alike import Alike, came_of, streamed, streamed_through_openai, whole
from tests.capture.alike import alike as alike  # the fixture
from tests.capture.play import LIBRARIES, Answer, Player, chunks_of
from tokenmeter import TokenMeter
from tokenmeter.capture.decode import SLICE_BYTES, open_decoder

CHAT = b"".join(wire.chat().chunks)
STREAM = b"".join(wire.chat_stream().chunks)


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def optional(module: str, function: str = "compress") -> Callable[[bytes], bytes]:
    """A compressor of a module that may be missing: the test is skipped then."""

    def compress(data: bytes) -> bytes:
        found = pytest.importorskip(module)
        packed: bytes = getattr(found, function)(data)
        return packed

    return compress


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "gzip over deflate": ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    "upper case": ("GZIP", gzip.compress),
    "br": ("br", optional("brotli")),
    "zstd": ("zstd", optional("backports.zstd")),
}
coded = pytest.mark.parametrize(("coding", "pack"), CODINGS.values(), ids=CODINGS)


@coded
@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
@pytest.mark.parametrize("size", [2, 7, 100_000])
def test_usage_is_read_from_encoded_answers(
    alike: Alike, coding: str, pack: Callable[[bytes], bytes], library: Any, size: int
) -> None:
    if library is not httpx2 and coding == "zstd":
        pytest.importorskip("zstandard")
    for body, headers, call in (
        (CHAT, wire.JSON, whole),
        (STREAM, wire.SSE, streamed),
        (STREAM, wire.SSE, streamed_through_openai),
    ):
        if library is not httpx2 and call is streamed_through_openai:
            continue
        answer = Answer(200, {**headers, "content-encoding": coding}, chunks_of(pack(body), size))
        (event,) = alike(answer, call, library)
        assert event.properties["input_tokens"] == 9
        assert event.properties["usage_source"] == "reported"


def test_a_stream_that_we_edit_may_be_encoded_all_the_same(meter: TokenMeter) -> None:
    """We ask for identity there, but a server may know better."""
    packed = chunks_of(gzip.compress(STREAM), 7)
    answer = Answer(200, {**wire.SSE, "content-encoding": "gzip"}, packed)
    http = Player([answer]).client()
    client = openai.OpenAI(api_key="k", http_client=http)
    with meter.run() as run:
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=[], stream=True)
        chunks = list(stream)
    assert len(chunks) == len(wire.WORDS) + 1
    assert all(chunk.choices for chunk in chunks), "our usage chunk was not taken out"
    assert run.usage.input_tokens == 9


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("damage", ["not encoded", "cut", "flipped"])
def test_damaged_data_fail_as_without_us_and_are_no_fault_of_ours(
    alike: Alike, coding: str, damage: str
) -> None:
    for body, headers, call in (
        (CHAT, wire.JSON, whole),
        (STREAM, wire.SSE, streamed),
        (STREAM, wire.SSE, streamed_through_openai),
    ):
        packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
        middle = len(packed) // 2
        sent = {
            "not encoded": body,
            "cut": packed[:middle],
            "flipped": packed[:middle] + b"\x00\xff\x00\xff" + packed[middle + 4 :],
        }[damage]
        answer = Answer(200, {**headers, "content-encoding": coding}, chunks_of(sent, 50))
        (event,) = alike(answer, call)
        if damage != "cut":
            assert event.properties["outcome"] in {"failed", "cancelled"}
        assert event.properties["usage_source"] in {"missing", "estimated"}


def test_a_coding_nobody_knows_is_flagged(alike: Alike) -> None:
    for call in (whole, streamed):
        (event,) = alike(Answer(200, {**wire.JSON, "content-encoding": "rot13"}, [CHAT]), call)
        if call is streamed:
            assert event.properties["flags"] == "unreadable_encoding:rot13"
            assert event.properties["usage_source"] == "missing"
        else:  # httpx has read it: what it hands out is what it is
            assert event.properties["input_tokens"] == 9


@pytest.mark.parametrize("module", ["backports.zstd", "zstandard"])
def test_a_zstd_bomb_stays_small_whichever_package_undoes_it(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pytest.importorskip(module)
    for other in {"backports.zstd", "zstandard"} - {module}:
        monkeypatch.setitem(importlib.sys.modules, other, None)  # type: ignore[attr-defined]
    packed = found.compress(bytes(200_000_000))
    assert len(packed) < SLICE_BYTES  # one chunk of the wire
    decoder = open_decoder("zstd")
    assert decoder is not None
    pieces = [len(piece) for piece in decoder.decode(packed)]
    assert sum(pieces) == 200_000_000
    assert max(pieces) <= 8 * 1024 * 1024


@pytest.mark.parametrize("module", ["backports.zstd", "zstandard"])
def test_a_zstd_frame_that_asks_for_a_large_window_is_not_read(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(module)
    for other in {"backports.zstd", "zstandard"} - {module}:
        monkeypatch.setitem(importlib.sys.modules, other, None)  # type: ignore[attr-defined]
    magic, no_size, window_64_mib, last_raw_of_2 = (
        b"\x28\xb5\x2f\xfd",
        b"\0",
        b"\x80",
        b"\x11\0\0hi",
    )
    decoder = open_decoder("zstd")
    assert decoder is not None
    assert list(decoder.decode(magic + no_size + window_64_mib + last_raw_of_2)) == []
    assert decoder.failed
    window_1_mib = b"\x50"
    decoder = open_decoder("zstd")
    assert decoder is not None
    assert b"".join(decoder.decode(magic + no_size + window_1_mib + last_raw_of_2)) == b"hi"


@coded
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    data=st.lists(st.binary(max_size=300), max_size=5),
    repeat=st.integers(1, 2_000),
    cuts=st.lists(st.integers(0, 10**6), max_size=6),
)
def test_decoding_gives_back_what_was_encoded(
    coding: str,
    pack: Callable[[bytes], bytes],
    data: list[bytes],
    repeat: int,
    cuts: list[int],
) -> None:
    plain = b"".join(piece * repeat for piece in data)
    packed = pack(plain)
    # A raw deflate stream is recognised by its first two bytes, as in httpx.
    ends = sorted({0, len(packed), *(max(2, cut % (len(packed) + 1)) for cut in cuts)})
    decoder = open_decoder(coding)
    assert decoder is not None
    got = [
        bytes(piece)
        for start, end in itertools.pairwise(ends)
        for piece in decoder.decode(packed[start:end])
    ]
    assert b"".join(got) == plain
    assert not decoder.failed


@coded
def test_a_bomb_is_undone_in_slices(coding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(20_000_000))
    decoder = open_decoder(coding)
    assert decoder is not None
    tracemalloc.start()
    length = sum(len(piece) for piece in decoder.decode(packed))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert length == 20_000_000
    assert peak < 16 * SLICE_BYTES


@coded
@settings(max_examples=15, deadline=None, derandomize=True)
@given(junk=st.binary(min_size=2, max_size=200), keep=st.integers(0, 40))
def test_junk_ends_the_plain_bytes_without_an_error(
    coding: str, pack: Callable[[bytes], bytes], junk: bytes, keep: int
) -> None:
    begun = pack(CHAT)[:keep]
    decoder = open_decoder(coding)
    assert decoder is not None
    for chunk in (begun, junk, junk, CHAT):
        assert len(b"".join(decoder.decode(chunk))) < SLICE_BYTES


@pytest.mark.parametrize("member", [CHAT, b""])
def test_what_follows_a_gzip_member_is_ignored_as_httpx_does(member: bytes) -> None:
    packed = gzip.compress(CHAT) + gzip.compress(member) + b"trailing"
    decoder = open_decoder("gzip")
    assert decoder is not None
    assert b"".join(decoder.decode(packed)) == CHAT
    assert list(decoder.decode(packed)) == []
    assert not decoder.failed


@pytest.mark.parametrize("module", ["backports.zstd", "zstandard"])
def test_zstd_frames_may_follow_one_another(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pytest.importorskip(module)
    for other in {"backports.zstd", "zstandard"} - {module}:
        monkeypatch.setitem(importlib.sys.modules, other, None)  # type: ignore[attr-defined]
    for size in (1, 10, 10_000):
        decoder = open_decoder("zstd")
        assert decoder is not None
        packed = found.compress(CHAT) + found.compress(STREAM)
        pieces = [piece for c in chunks_of(packed, size) for piece in decoder.decode(c)]
        assert b"".join(pieces) == CHAT + STREAM
        list(decoder.decode(b"no frame"))
        assert decoder.failed


@pytest.mark.parametrize("encoding", ["rot13", "gzip, rot13", "br2", "aws-chunked", "zstd;q=1"])
def test_no_decoder_is_better_than_a_wrong_one(encoding: str) -> None:
    assert open_decoder(encoding) is None


def test_without_its_module_a_coding_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    assert open_decoder("br") is None
    assert open_decoder("zstd") is None


def test_the_old_name_of_gzip_is_known() -> None:
    decoder = open_decoder("x-gzip")
    assert decoder is not None
    assert list(decoder.decode(gzip.compress(CHAT))) == [CHAT]


def test_identity_says_nothing() -> None:
    decoder = open_decoder("identity, identity")
    assert decoder is not None
    assert list(decoder.decode(b"plain")) == [b"plain"]


def test_a_failing_read_is_compared_by_type_and_text() -> None:
    """The comparison itself: it must tell errors apart."""
    answer = Answer(200, {**wire.JSON, "content-encoding": "gzip"}, [b"not gzip"])
    kind, said = came_of(whole, Player([answer]).client())
    assert kind is httpx2.DecodingError
    assert "header" in said
