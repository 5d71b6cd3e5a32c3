"""However a streamed requests answer ends, its exchange closes exactly once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from urllib3.exceptions import ProtocolError

from tests.capture import wire
from tests.capture.play import Answer
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import session_of
from tests.capture.test_closing import assert_cancelled_once, wait_for_one
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import Policy, TokenMeter

URL = "http://api.openai.com/v1/chat/completions"
STREAM = {**ASK, "stream": True, "stream_options": {"include_usage": True}}  # never edited


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def opened(server: Server, body: Any = None) -> tuple[requests.Session, requests.Response]:
    session = requests.Session()
    session.proxies = {"http": server.url}
    return session, session.post(URL, json=body or STREAM, stream=True)


def held(server: Server, *answers: Answer) -> Server:
    """The server sends two chunks and waits."""
    server.hold_after = 2
    return server.play(*(answers or (wire.chat_stream(),)))


def first_event(response: requests.Response) -> Iterator[bytes]:
    """Read the first event, with the empty line after it."""
    lines: Iterator[bytes] = response.iter_lines(chunk_size=1)
    assert next(lines)
    assert not next(lines)
    return lines


ENDS: dict[str, Callable[[requests.Response], Any]] = {
    "response.close": lambda response: response.close(),
    "raw.close": lambda response: response.raw.close(),
    "twice": lambda response: [ENDS["response.close"](response) for _ in range(2)],
    "with": lambda response: response.__exit__(None, None, None),
    "with raw": lambda response: response.raw.__exit__(None, None, None),
}


@pytest.mark.parametrize("how", ENDS)
def test_closing_early_makes_one_event(meter: TokenMeter, server: Server, how: str) -> None:
    session, response = opened(held(server))
    lines = first_event(response)
    ENDS[how](response)
    assert_cancelled_once(meter)
    del lines
    session.close()
    assert len(events_of(meter)) == 1


def test_a_dropped_response_makes_one_event(meter: TokenMeter, server: Server) -> None:
    session, response = opened(held(server))
    for line in response.iter_lines(chunk_size=1):
        if not line:
            break
    del response
    gc.collect()
    assert_cancelled_once(meter)
    session.close()


def test_an_iterator_outlives_the_response(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat_stream())
    chunks = session.post(URL, json=STREAM, stream=True).raw.stream(10)
    gc.collect()
    assert b"[DONE]" in b"".join(chunks)
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


def test_a_response_that_is_never_read_makes_one_event(meter: TokenMeter, server: Server) -> None:
    session, response = opened(held(server))
    response.close()
    session.close()
    assert only(meter).properties["outcome"] == "cancelled"


def test_reading_can_go_on_after_a_break(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat_stream())
    with session.post(URL, json=STREAM, stream=True) as response:
        for _ in response.iter_content(10):
            break
        assert not events_of(meter)
        rest = b"".join(response.iter_content(10))
    assert rest.endswith(b"[DONE]\n\n")
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


def test_the_event_is_there_when_the_user_has_read_done(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat_stream())
    response = session.post(URL, json=STREAM, stream=True)
    for line in response.iter_lines():
        if line == b"data: [DONE]":
            break
    assert_usage(only(meter), input_tokens=9, output_tokens=6)
    response.close()
    assert len(events_of(meter)) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_exact_length_is_the_whole(meter: TokenMeter, server: Server, size: int) -> None:
    server.with_length = True
    server.play(wire.chat())
    session, response = opened(server, ASK)
    length = int(response.headers["content-length"])
    read = b""
    while len(read) < length:
        read += response.raw.read(min(size, length - len(read)))
    assert_usage(only(meter), input_tokens=9, output_tokens=2)
    response.close()
    session.close()


def test_an_error_in_mid_stream_is_a_failed_attempt(meter: TokenMeter, server: Server) -> None:
    answer = wire.chat_stream()
    answer.chunks, answer.error = answer.chunks[:2], ConnectionError()
    server.play(answer)
    session, response = opened(server)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(response.iter_lines())
    session.close()
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", ProtocolError.__name__)


def test_a_failure_leaves_its_note_before_its_body_is_read(meter: TokenMeter) -> None:
    session, _ = session_of(wire.failure(), wire.chat())
    unread = session.post(URL, json=ASK, stream=True)
    session.post(URL, json=ASK)
    unread.close()
    assert {event.properties["attempt"] for event in events_of(meter)} == {1, 2}
    assert len({event.properties["call_id"] for event in events_of(meter)}) == 1


@pytest.fixture
def draining() -> Iterator[TokenMeter]:
    meter = TokenMeter("memory:", policy=Policy(on_abort="drain"))
    meter.instrument()
    yield meter
    meter.shutdown()
    assert not meter.faults


@pytest.mark.parametrize("body", [STREAM, {**ASK, "stream": True}], ids=["plain", "edited"])
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
def test_drain_policy_reads_on(
    draining: TokenMeter, server: Server, body: Any, with_length: bool
) -> None:
    server.with_length = with_length
    session, response = opened(held(server), body)
    lines = first_event(response)
    response.close()
    assert not events_of(draining)
    server.release()
    found = wait_for_one(draining).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "reported")
    assert (found["input_tokens"], found["output_tokens"]) == (9, 6)
    del lines
    session.close()


def test_drain_policy_reads_on_after_a_break(draining: TokenMeter, server: Server) -> None:
    session, response = opened(held(server))
    for _ in response.iter_lines(chunk_size=1):
        break
    server.release()
    response.close()
    found = wait_for_one(draining).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "reported")
    _wait_for(lambda: bool(response.raw.closed))
    session.close()


def test_a_drained_answer_may_be_dropped(draining: TokenMeter, server: Server) -> None:
    session, response = opened(held(server))
    response.close()
    del response
    gc.collect()
    assert not events_of(draining)
    server.release()
    assert wait_for_one(draining).properties["usage_source"] == "reported"
    session.close()


def test_drain_policy_reads_any_file_on(draining: TokenMeter) -> None:
    session, player = session_of(wire.chat_stream())
    response = session.post(URL, json=STREAM, stream=True)
    assert response.raw.read(10)
    response.close()
    found = wait_for_one(draining).properties
    assert (found["outcome"], found["output_tokens"]) == ("cancelled", 6)
    _wait_for(lambda: player.closed == 1)


def _wait_for(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError
