"""Pictures in a prompt: their size read from their first bytes, their tokens by tiles."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.pricing.counting import count_input
from tokenmeter.pricing.pictures import RULES, picture_tokens, size_of


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height)


def jpeg(width: int, height: int) -> bytes:
    notes = b"\xff\xe1\x00\x06abcd"
    return b"\xff\xd8" + notes + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width)


FILES = {
    "png": png(640, 480),
    "jpeg": jpeg(640, 480) + b"\0\0",
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480),
    "webp": b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 640, 480),
    "webp lossless": b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (639 | 479 << 14).to_bytes(4, "little"),
    "webp extended": b"RIFF\0\0\0\0WEBPVP8X"
    + b"\0" * 8
    + (639).to_bytes(3, "little")
    + (479).to_bytes(3, "little"),
}


def link(data: bytes, kind: str = "png") -> dict[str, Any]:
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize("name", list(FILES))
def test_the_size_stands_in_the_first_bytes(name: str) -> None:
    assert size_of(link(FILES[name])) == (640, 480)


def test_each_format_of_a_request_is_read() -> None:
    data = base64.b64encode(png(640, 480)).decode()
    claude = {"type": "image", "source": {"type": "base64", "data": data}}
    gemini = {"inlineData": {"mimeType": "image/png", "data": data}}
    responses = {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}
    assert size_of(claude) == size_of(gemini) == size_of(responses) == (640, 480)


@pytest.mark.parametrize(
    "image",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image_url"},
        link(b"not a picture at all"),
        link(png(0, 10)),
        link(b"\x89PNG\r\n\x1a\n"),
        link(b"\xff\xd8\x00"),
        link(b"RIFF\0\0\0\0WEBPVP9 "),
    ],
)
def test_a_size_that_cannot_be_read_is_a_range(image: dict[str, Any]) -> None:
    assert size_of(image) is None
    tokens = picture_tokens("gpt-4o", image)
    assert tokens.low < tokens.expected < tokens.high


@pytest.mark.parametrize(
    ("model", "width", "height", "tokens"),
    [
        ("gpt-4o", 512, 512, 255),
        ("gpt-4o", 513, 512, 425),
        ("gpt-4o", 1024, 1024, 765),
        ("gpt-4o", 2048, 4096, 1105),
        ("gpt-4o-mini", 1024, 1024, 25501),
        ("gpt-5", 1024, 1024, 630),
        ("o3", 1024, 1024, 675),
        ("gpt-4.1-mini", 1024, 1024, 1659),
        ("gpt-4.1-mini", 4096, 4096, 2488),
        ("claude-sonnet-4-5", 1000, 1000, 1333),
        ("claude-sonnet-4-5", 4000, 4000, 1600),
        ("gemini-2.5-flash", 384, 384, 258),
        ("gemini-2.5-flash", 960, 540, 258 * 7),
        ("gemini-3-flash-preview", 960, 540, 1120),
        ("some-other", 1000, 1000, 1333),
    ],
)
def test_tokens_follow_the_familys_rule(model: str, width: int, height: int, tokens: int) -> None:
    assert picture_tokens(model, link(png(width, height))) == (tokens, tokens, tokens)


def test_low_detail_has_one_price() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}
    assert picture_tokens("gpt-4o", image).expected == 85
    responses = {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}
    assert picture_tokens("gpt-5", responses).expected == 70


def test_a_picture_is_part_of_the_count() -> None:
    content = [{"type": "text", "text": "What is this?"}, link(png(512, 512))]
    count = count_input("gpt-4o", {"messages": [{"role": "user", "content": content}]})
    assert count is not None
    assert count.expected == 255 + 4 + 4 + 3
    assert "tiles" in count.notes[0]


@given(st.sampled_from(sorted(RULES)), st.integers(1, 20_000), st.integers(1, 20_000))
def test_no_size_is_without_tokens(model: str, width: int, height: int) -> None:
    tokens = picture_tokens(model, link(png(width, height)))
    assert 0 < tokens.low == tokens.high < 1_000_000


@given(st.binary(max_size=60))
def test_no_bytes_are_too_odd(data: bytes) -> None:
    for head in (b"", b"\xff\xd8\xff", b"RIFF0000WEBPVP8X", b"GIF89a", b"\x89PNG\r\n\x1a\n"):
        size = size_of(link(head + data))
        assert size is None or min(size) > 0
