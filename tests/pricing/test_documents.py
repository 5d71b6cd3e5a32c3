"""Documents in a prompt: their text or their pages count, as far as the request carries them."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest

from tokenmeter.pricing import documents
from tokenmeter.pricing.counting import Count, count_input
from tokenmeter.pricing.documents import pdf_pages

Json = dict[str, Any]
CLAUDE, GEMINI = "claude-sonnet-4-5", "gemini-2.5-flash"
FACT = "Ruby was made by Yukihiro Matsumoto, who wanted programmers to be happy."


def pdf(pages: int) -> bytes:
    kids = " ".join(f"{3 + number} 0 R" for number in range(pages))
    objects = [f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>"]
    objects += ["<< /Type/Page /Parent 2 0 R >>"] * pages
    return b"%PDF-1.4\n" + "\n".join(objects).encode()


def stream(objects: str, more: str = "") -> bytes:
    """Objects as today's writers pack them."""
    plain = zlib.compress(objects.encode())
    head = f"<< {more}/Filter /FlateDecode /First 9 /Length {len(plain)} /N 2 /Type /ObjStm >>"
    return b"8 0 obj\n" + head.encode() + b"\nstream\r\n" + plain + b"\nendstream\nendobj\n"


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def counted(model: str, *parts: Json) -> Count:
    key, role = ("parts", "contents") if "gemini" in model else ("content", "messages")
    found = count_input(model, {role: [{"role": "user", key: [{"text": "Why?"}, *parts]}]})
    assert found is not None
    return found


def claude(source: Json, **more: Any) -> Json:
    return {"type": "document", "source": source, **more}


def google(data: str, kind: str = "application/pdf") -> Json:
    return {"inlineData": {"mimeType": kind, "data": data}}


@pytest.mark.parametrize("pages", [1, 2, 40])
def test_the_pages_of_a_pdf_are_counted(pages: int) -> None:
    assert pdf_pages(packed(pdf(pages))) == pages
    assert pdf_pages(base64.urlsafe_b64encode(pdf(pages)).decode().rstrip("=")) == pages


def test_pages_within_compressed_objects_are_counted_in_all_of_them() -> None:
    tree = "<< /Type /Pages /Count 5 /Kids [1 0 R] >>"
    three, two = (tree + "<</Type /Page /Parent 2 0 R>>" * count for count in (3, 2))
    whole = b"%PDF-1.7\n" + stream(three) + stream(two, "/DecodeParms << /Predictor 1 >> ")
    assert pdf_pages(packed(whole)) == 5
    assert pdf_pages(packed(whole + b"<< /Type /Page >>")) == 6


def test_objects_that_cannot_be_unpacked_are_left_out() -> None:
    sealed = stream("<</Type /Page>>").replace(b"stream\r\nx", b"stream\r\n!")
    assert pdf_pages(packed(b"%PDF-1.7\n" + sealed + stream("<</Type /Page>>"))) == 1
    assert pdf_pages(packed(b"%PDF-1.7\n" + sealed)) is None
    assert pdf_pages(packed(b"%PDF-1.7\n" + stream("<</Type /Page>>")[:-30])) is None


def test_a_bomb_is_unpacked_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "OBJECTS_BYTES_MAX", 1_500)
    page = "<</Type /Page>>"  # 15 bytes
    assert pdf_pages(packed(b"%PDF-1.7\n" + stream(page * 5_000) * 3)) == 100


def test_a_pdf_whose_pages_are_compressed_says_how_many_they_are() -> None:
    assert pdf_pages(packed(b"%PDF-1.7\n<< /Type /Pages /Count 7 >> << /Count 3 >>")) == 7


@pytest.mark.parametrize(
    "data", [None, 7, "", "%%%", "abc", packed(b"PK\x03\x04"), packed(b"%PDF-1.7 cut")]
)
def test_what_is_no_pdf_or_cut_has_no_pages(data: object) -> None:
    assert pdf_pages(data) is None


def test_a_file_that_is_too_long_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PDF_CHARS_MAX", 10)
    assert pdf_pages(packed(pdf(1))) is None


def test_a_page_is_a_picture_to_gemini_and_a_range_to_claude() -> None:
    bare = counted(GEMINI)
    three = counted(GEMINI, google(packed(pdf(3))))
    assert three.expected - bare.expected == 3 * 258
    assert "3 page(s) by the family's rule" in three.notes
    paper = claude({"type": "base64", "media_type": "application/pdf", "data": packed(pdf(2))})
    plain, found = counted(CLAUDE), counted(CLAUDE, paper)
    added = [more - less for more, less in zip(found.range, plain.range, strict=True)]
    assert added[0] < added[1] == 4_500 < added[2]


def test_a_page_that_nobody_has_a_rule_for_widens_the_range() -> None:
    parts = [{"text": "Why?"}, google(packed(pdf(2)))]
    found = count_input("some-model", {"contents": [{"role": "user", "parts": parts}]})
    assert found is not None
    assert "2 page(s) not counted locally" in found.notes
    assert found.high > 20_000 > found.expected


@pytest.mark.parametrize(
    "part",
    [
        claude({"type": "text", "media_type": "text/plain", "data": FACT}),
        claude({"type": "content", "content": [{"type": "text", "text": FACT}]}),
        claude({"type": "content", "content": FACT}),
        {"type": "search_result", "source": "", "content": [{"type": "text", "text": FACT}]},
    ],
)
def test_a_document_that_is_text_is_counted_as_text(part: Json) -> None:
    told = counted(CLAUDE, {"type": "text", "text": FACT})
    assert counted(CLAUDE, part).expected == told.expected
    cited = {**part, "citations": {"enabled": True}}
    assert counted(CLAUDE, cited).expected == told.expected + 580
    assert counted(CLAUDE, {**part, "title": "Of Ruby"}).expected > told.expected


@pytest.mark.parametrize("source", [{"type": "url", "url": "https://x/1.pdf"}, "file", None, 7])
def test_a_document_elsewhere_is_named_and_not_guessed(source: Any) -> None:
    found = counted(CLAUDE, claude(source))
    assert found.expected == counted(CLAUDE).expected
    assert "not counted locally: document" in found.notes


def test_thoughts_of_earlier_turns_are_estimated_by_their_length() -> None:
    signature = "A" * 1_000  # 750 bytes
    bare = counted(GEMINI, {"text": "Because."})
    thought = counted(GEMINI, {"text": "Because.", "thoughtSignature": signature})
    assert thought.expected - bare.expected == round(750 * 0.17)
    later = counted("gemini-3-flash", {"text": "Because.", "thought_signature": signature})
    assert later.expected - bare.expected == round(750 * 0.46)
    assert thought.low <= bare.low < thought.expected < thought.high
    assert "encrypted thoughts" in thought.notes[0]
    odd = counted(GEMINI, {"text": "Because.", "thoughtSignature": 7})
    assert odd.expected == bare.expected


def test_each_file_that_is_linked_may_be_a_long_one() -> None:
    linked = claude({"type": "url", "url": "https://x/1.pdf"})
    bare, one, three = (counted(CLAUDE, *[linked] * n) for n in (0, 1, 3))
    assert bare.high < 20_000
    assert one.high - bare.high == 20_000
    assert three.high - bare.high == 60_000
    assert three.expected == bare.expected


def test_sealed_thoughts_are_one_unknown_however_many_turns_had_some() -> None:
    sealed = {"type": "redacted_thinking", "data": "A" * 400}
    one, three = (counted(CLAUDE, *[sealed] * n) for n in (1, 3))
    assert 20_000 < one.high <= three.high < 40_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", {"id": "conv_1"}),
        ("conversation", "conv_1"),
        ("cachedContent", "cachedContents/1"),
        ("previous_interaction_id", "v1_1"),
        ("prompt", {"id": "pmpt_1", "variables": {"city": "Rome"}}),
    ],
)
def test_what_the_provider_keeps_of_a_prompt_is_named_and_may_be_long(
    name: str, value: Any
) -> None:
    asked = {"input": "And why?"}
    alone, more = (count_input("gpt-5-mini", body) for body in (asked, {**asked, name: value}))
    assert alone is not None
    assert more is not None
    assert alone.exact
    assert (more.exact, more.notes) == (False, (f"not counted locally: {name}",))
    assert more.high >= alone.high + 20_000
    only_kept = count_input("gpt-5-mini", {name: value})
    assert only_kept is not None
    assert only_kept.high >= 20_000


@pytest.mark.parametrize("body", [{"previous_response_id": None}, {"conversation": ""}])
def test_nothing_kept_is_nothing(body: Json) -> None:
    found = count_input("gpt-5-mini", {"input": "And why?", **body})
    assert found is not None
    assert found.exact
