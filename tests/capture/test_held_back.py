"""An edited stream holds bytes back; after a fault of ours the user has them all the same."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import ASK, only
from tokenmeter import TokenMeter
from tokenmeter.capture import sse

URL = "http://api.openai.com/v1/chat/completions"
STREAM = {**ASK, "stream": True}
SENT = b"".join(wire.chat_stream().chunks)  # with the chunk that only we asked for
COMES = b"".join(each for each in wire.chat_stream().chunks if b'"choices": []' not in each)
FEEDS = ["_feed_events", "_skip", "_read", "_fold", "feed", "end"]


class Fault(Exception):
    """One of ours."""


@pytest.fixture
def faulty() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


def failing_at(method: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the call of this number fail, and all later ones."""
    real: Any = getattr(sse.EventReader, method)
    calls: list[int] = []

    def fail(*args: Any) -> Any:
        calls.append(1)
        if len(calls) > number:
            raise Fault
        return real(*args)

    monkeypatch.setattr(sse.EventReader, method, fail)


@pytest.mark.parametrize("cut", [1, 7, 200, len(SENT)])
@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("method", FEEDS)
def test_a_fault_anywhere_in_a_stream_costs_the_user_no_byte(
    faulty: TokenMeter,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    encoding: str,
    cut: int,
) -> None:
    for number in (0, 1, 3, 8):
        with monkeypatch.context() as patched:
            failing_at(method, number, patched)
            body = gzip.compress(SENT) if encoding else SENT
            chunks = [body[at : at + cut] for at in range(0, len(body), cut)]
            headers = {**wire.SSE, **({"content-encoding": encoding} if encoding else {})}
            with faulty.wrap(Player([Answer(200, headers, chunks)]).client()) as client:
                assert client.post(URL, json=STREAM).content == COMES


def test_the_event_of_a_stream_that_we_stumbled_over_says_so(
    faulty: TokenMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at("_fold", 1, monkeypatch)
    with faulty.wrap(Player([wire.chat_stream()]).client()) as client:
        client.post(URL, json=STREAM)
    assert "meter_fault" in str(only(faulty).properties["flags"])
    assert faulty.faults == 1


def test_a_stream_without_a_boundary_does_not_pile_up_after_a_fault(
    faulty: TokenMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at("feed", 0, monkeypatch)
    endless = [b"data: " + b"x" * 40_000] * 5
    with (
        faulty.wrap(Player([Answer(200, dict(wire.SSE), endless)]).client()) as client,
        client.stream("POST", URL, json=STREAM) as response,
    ):
        passed = response.iter_raw()
        came = [len(next(passed)) for _ in range(2)]
        assert sum(came) + sse.HELD_BYTES_MAX >= 4 * len(endless[0]) - sse.HELD_BYTES_MAX
        assert sum(came) + sum(map(len, passed)) == len(b"".join(endless))
