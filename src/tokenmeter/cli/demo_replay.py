"""Cassettes in place of the network: the providers' SDKs get answers from files."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

CHUNK_BYTES = 64  # of an answer that comes bit by bit
MADE_UP_ID = b"tokenmeter-"  # begins the part of an answer's id that differs per answer

_VERSION = re.compile(r"/v1(?:alpha|beta)?/")
_PACKAGED = Path(__file__).parents[1] / "_cassettes"  # in the wheel
_SOURCE = Path(__file__).parents[3] / "cassettes"  # in a checkout


def cassette_path(name: str) -> Path:
    """Return the file of a cassette: the wheel's, else the checkout's."""
    home = _PACKAGED if _PACKAGED.is_dir() else _SOURCE
    return home / f"{name}.yaml"


@contextlib.contextmanager
def played(name: str, *, session: str | None = None) -> Generator[None]:
    """
    Answer every HTTP request inside from a cassette; what is not in it raises.

    Each answer is played once, in order. With a `session` the answers carry ids of their own:
    a second session is a second set of calls.
    """
    import vcr  # type: ignore[import-untyped]

    def renamed(response: dict[str, Any]) -> dict[str, Any]:
        body = response["body"]
        body["string"] = _in_session(body["string"], session)
        return response

    player = vcr.VCR(
        record_mode=vcr.mode.NONE,
        match_on=("method", "question"),
        before_record_response=renamed,  # runs when a cassette is loaded, too
    )
    player.register_matcher("question", same_question)
    with player.use_cassette(str(cassette_path(name))):
        yield


def bit_by_bit(name: str, *, session: str | None = None) -> httpx2.Client:
    """
    Return a client that gets a cassette's first answer in small chunks.

    vcrpy hands a body over whole, so a stream that is left half-way needs this.
    """
    import httpx2
    from vcr.cassette import Cassette  # type: ignore[import-untyped]

    recorded = Cassette.load(path=str(cassette_path(name))).responses[0]
    body = _in_session(recorded["body"]["string"], session)

    class Chunks(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for start in range(0, len(body), CHUNK_BYTES):
                yield body[start : start + CHUNK_BYTES]

    class Transport(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            headers = {name: values[0] for name, values in recorded["headers"].items()}
            status = recorded["status"]["code"]
            return httpx2.Response(status, headers=headers, stream=Chunks(), request=request)

    return httpx2.Client(transport=Transport())


def same_question(made: Any, recorded: Any) -> None:
    """
    Match requests for vcrpy: one address, and every recorded field stands in the body made.

    The API's version (v1, v1beta) differs between versions of Google's SDK and does not count.
    """
    urls = [_VERSION.sub("/", request.uri) for request in (made, recorded)]
    if urls[0] != urls[1]:
        raise AssertionError(f"{urls[0]} is asked, recorded is {urls[1]}")
    wanted, sent = _fields(recorded), _fields(made)
    for name, value in wanted.items():
        if sent.get(name) != value:
            raise AssertionError(f"{name} is {sent.get(name)!r}, recorded is {value!r}")


def _fields(request: Any) -> dict[str, Any]:
    """Return the fields of a body; vcrpy gets those of aiohttp before they are written."""
    body = request.body or "{}"
    fields: dict[str, Any] = body if isinstance(body, dict) else json.loads(body)
    return fields


def _in_session(body: bytes, session: str | None) -> bytes:
    return body if session is None else body.replace(MADE_UP_ID, session.encode() + b"-")
