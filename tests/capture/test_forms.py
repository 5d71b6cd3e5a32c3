"""A form's fields are read as a server reads them, however its client writes them."""

from __future__ import annotations

import pytest

from tokenmeter.capture.forms import FIELD_BYTES_MAX
from tokenmeter.capture.requests import parse_body

KIND = "multipart/form-data; boundary=B"


def part(head: str, value: str = "10") -> bytes:
    return f"--B\r\n{head}\r\n\r\n{value}\r\n".encode()


def read(*parts: bytes, kind: str = KIND) -> dict[str, str]:
    return dict(parse_body(b"".join(parts) + b"--B--\r\n", kind))


@pytest.mark.parametrize(
    "head",
    [
        'Content-Disposition: form-data; name="n"',
        "Content-Disposition: form-data; name=n",  # .NET's
        'content-disposition:form-data;NAME="n"',
        "Content-Disposition: form-data; name*=UTF-8''%6e",
        'Content-Disposition: form-data;\r\n name="n"',
        'Content-Type: text/plain; name="no"\r\nContent-Disposition: form-data; name="n"',
        'Content-Disposition: form-data; name="n"; filename=""',
        'Content-Disposition: form-data; filename="a.txt"; name="n"',
    ],
)
def test_a_field_is_found_however_it_is_written(head: str) -> None:
    assert read(part(head), part('Content-Disposition: form-data; name="q"', "x")) == {
        "n": "10",
        "q": "x",
    }


@pytest.mark.parametrize("numbers", [("10", "1"), ("1", "10"), (" 10 ", "9")])
def test_of_a_number_that_is_there_twice_the_larger_counts(numbers: tuple[str, str]) -> None:
    head = "Content-Disposition: form-data; name=n"
    assert read(*(part(head, number) for number in numbers)) == {"n": "10"}


def test_of_a_text_that_is_there_twice_the_later_counts() -> None:
    head = "Content-Disposition: form-data; name=size"
    assert read(part(head, "1024x1024"), part(head, "auto")) == {"size": "auto"}


@pytest.mark.parametrize(
    "kind",
    [
        'Multipart/Form-Data; BOUNDARY="B"',
        "multipart/form-data; charset=utf-8; boundary = B",
        "multipart/form-data; boundary=B; boundary=B",
    ],
)
def test_the_boundary_is_found_however_it_is_written(kind: str) -> None:
    assert read(part("Content-Disposition: form-data; name=n"), kind=kind) == {"n": "10"}


@pytest.mark.parametrize("kind", ["multipart/form-data", f"{KIND}; boundary=C"])
def test_a_form_whose_parts_end_who_knows_where_is_not_read(kind: str) -> None:
    assert read(part("Content-Disposition: form-data; name=n"), kind=kind) == {}


def test_a_file_is_named_and_its_bytes_are_left_out() -> None:
    head = 'Content-Disposition: form-data; name="image"; filename="a\\"b.png"'
    assert read(part(head, "bytes")) == {"image": ""}
    named = 'Content-Disposition: form-data; name="image"'
    assert read(part(named, "x" * (FIELD_BYTES_MAX + 1))) == {}
