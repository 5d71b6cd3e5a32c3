"""boto3: every attempt is an event, and Bedrock's streams are read as they pass."""

from __future__ import annotations

import gc
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import botocore.eventstream
import botocore.exceptions
import pytest
from urllib3.exceptions import ProtocolError

from tests.capture import wire
from tests.capture.play import Answer, chunks_of
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.test_closing import wait_for_one
from tests.capture.test_openai_lifecycle import assert_usage, events_of, only
from tokenmeter import Policy, TokenMeter
from tokenmeter.capture.previewing import stopped_call

pytestmark = pytest.mark.usefixtures("left_open")
ASK = bedrock.ASK
INVOKE: dict[str, Any] = {
    "modelId": bedrock.MODEL,
    "body": json.dumps({"anthropic_version": "bedrock-2023-05-31", "messages": []}).encode(),
}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def aws(server: Server) -> Iterator[Any]:
    with bedrock.client(server) as made:
        yield made


def test_converse_is_captured(meter: TokenMeter, server: Server, aws: Any) -> None:
    server.play(bedrock.converse())
    answer = aws.converse(**ASK)
    assert answer["usage"] == bedrock.USAGE
    event = only(meter)
    assert_usage(event, input_tokens=9, output_tokens=6)
    assert event.properties["provider"] == "bedrock"


@pytest.mark.parametrize("size", [1, 61, 5000])
def test_a_converse_stream_is_captured(
    meter: TokenMeter, server: Server, aws: Any, size: int
) -> None:
    answer = bedrock.converse_stream()
    server.play(Answer(200, answer.headers, chunks_of(b"".join(answer.chunks), size)))
    stream = aws.converse_stream(**ASK)["stream"]
    words = [item["contentBlockDelta"]["delta"]["text"] for item in stream if "Delta" in str(item)]
    assert words == list(wire.WORDS)
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


def read_lines(body: Any) -> bytes:
    return b"\n".join(body.iter_lines())


def read_into(body: Any) -> bytes:
    buffer, found = bytearray(10), b""
    while size := body.readinto(buffer):
        found += bytes(buffer[:size])
    return found


def read_within(body: Any) -> bytes:
    with body as raw:
        found: bytes = raw.read()
    return found


READ: dict[str, Callable[[Any], bytes]] = {
    "read": lambda body: body.read(),
    "parts": lambda body: b"".join(iter(lambda: body.read(10), b"")),
    "chunks": lambda body: b"".join(body.iter_chunks(10)),
    "iter": b"".join,
    "lines": read_lines,
    "readlines": lambda body: b"".join(body.readlines()),
    "readinto": read_into,
    "with": read_within,
    "json": lambda body: json.dumps(json.load(body)).encode(),
    "text": lambda body: io.TextIOWrapper(io.BufferedReader(body)).read().encode(),
}


@pytest.mark.parametrize("way", READ)
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
def test_a_streaming_body_is_captured(
    meter: TokenMeter, server: Server, aws: Any, way: str, with_length: bool
) -> None:
    server.with_length = with_length
    server.play(wire.message())
    answer = aws.invoke_model(**INVOKE)
    assert type(answer["body"]).__name__ == "StreamingBody"
    assert READ[way](answer["body"]) == wire.message().chunks[0]
    assert_usage(only(meter), input_tokens=100, output_tokens=5)


def test_the_exact_length_is_the_whole(meter: TokenMeter, server: Server, aws: Any) -> None:
    server.with_length = True
    server.play(wire.message())
    answer = aws.invoke_model(**INVOKE)
    answer["body"].read(int(answer["ResponseMetadata"]["HTTPHeaders"]["content-length"]))
    assert_usage(only(meter), input_tokens=100, output_tokens=5)


def no_wait(seconds: float) -> None:
    """Time does not matter here."""


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_boto3s_own_retries_are_attempts_of_one_call(
    meter: TokenMeter, server: Server, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", no_wait)
    server.play(bedrock.throttled(), bedrock.throttled(), bedrock.converse())
    with bedrock.client(server, retries={"total_max_attempts": 3, "mode": mode}) as client:
        client.converse(**ASK)
    events = events_of(meter)
    assert [event.properties["attempt"] for event in events] == [1, 2, 3]
    assert len({event.properties["call_id"] for event in events}) == 1
    assert [event.properties["http_status"] for event in events] == ["429", "429", "200"]


def test_an_exception_inside_a_stream_is_a_failed_attempt(
    meter: TokenMeter, server: Server, aws: Any
) -> None:
    server.play(bedrock.throttled_stream())
    stream = aws.converse_stream(**ASK)["stream"]
    with pytest.raises(botocore.exceptions.EventStreamError):
        list(stream)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "throttlingException")


def test_a_transport_error_is_a_failed_attempt(
    meter: TokenMeter, server: Server, aws: Any
) -> None:
    server.play(Answer(error=ConnectionError()))
    with pytest.raises(botocore.exceptions.ProxyConnectionError):  # it went through one
        aws.converse(**ASK)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ProxyConnectionError")


def test_a_stream_that_breaks_off_is_a_failed_attempt(
    meter: TokenMeter, server: Server, aws: Any
) -> None:
    answer = bedrock.converse_stream()
    answer.chunks, answer.error = answer.chunks[:4], ConnectionError()
    server.play(answer)
    stream = aws.converse_stream(**ASK)["stream"]
    with pytest.raises(Exception, match="ended prematurely"):
        list(stream)
    assert only(meter).properties["outcome"] == "failed"


def drop(box: list[Any]) -> None:
    box.clear()
    gc.collect()


ENDS: dict[str, Callable[[list[Any]], None]] = {"close": lambda box: box[0].close(), "drop": drop}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # boto3's socket
@pytest.mark.parametrize("how", ENDS)
def test_a_stream_left_early_makes_one_event(
    meter: TokenMeter, server: Server, aws: Any, how: str
) -> None:
    server.hold_after = 3
    server.play(bedrock.converse_stream())
    box = [aws.converse_stream(**ASK)["stream"]]
    for item in box[0]:
        if "contentBlockDelta" in item:
            break
    ENDS[how](box)
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")
    assert found["output_tokens"] > 0  # type: ignore[operator]


SHUT: dict[str, Callable[[Any], None]] = {
    "its socket": lambda raw: raw.connection.sock.shutdown(socket.SHUT_RDWR),
    "the answer": lambda raw: raw.shutdown(),
}


@pytest.mark.parametrize("what", SHUT)
def test_a_read_that_another_thread_ends_by_shutting_the_socket_was_left_early(
    meter: TokenMeter, server: Server, aws: Any, what: str
) -> None:
    server.hold_after = 3
    server.play(bedrock.converse_stream())
    stream = aws.converse_stream(**ASK)["stream"]
    shut = threading.Timer(0.05, SHUT[what], [stream._raw_stream])
    shut.start()
    with pytest.raises(ProtocolError):
        list(stream)
    shut.join()
    stream.close()
    found = only(meter).properties
    assert (found["outcome"], found["billable"]) == ("cancelled", "true")


def test_a_socket_that_is_shut_for_writing_is_read_on(
    meter: TokenMeter, server: Server, aws: Any
) -> None:
    server.hold_after = 3
    server.play(bedrock.converse_stream())
    stream = aws.converse_stream(**ASK)["stream"]
    stream._raw_stream.connection.sock.shutdown(socket.SHUT_WR)
    server.release()
    assert "metadata" in list(stream)[-1]
    assert only(meter).properties["outcome"] == "success"


def test_drain_policy_reads_a_stream_on(server: Server, aws: Any) -> None:
    meter = TokenMeter("memory:", policy=Policy(on_abort="drain"))
    meter.instrument()
    server.hold_after = 3
    server.play(bedrock.converse_stream())
    stream = aws.converse_stream(**ASK)["stream"]
    next(iter(stream))
    stream.close()
    server.release()
    found = wait_for_one(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "reported")
    assert found["output_tokens"] == 6
    meter.shutdown()
    assert not meter.faults


def test_frames_that_are_none_are_the_users_to_see(
    meter: TokenMeter, server: Server, aws: Any
) -> None:
    body = b"this is no event stream" * 5
    server.play(Answer(200, dict(bedrock.FRAMES), [body]))
    stream = aws.converse_stream(**ASK)["stream"]
    with pytest.raises(botocore.eventstream.ParserError):
        list(stream)
    found = only(meter).properties
    assert found["usage_source"] == "estimated"  # left early, as far as we can tell
    assert "not_frames" in str(found["flags"]).split(",")


def test_other_services_are_passed_untouched(meter: TokenMeter, server: Server) -> None:
    server.play(Answer(200, {"content-type": "text/plain"}, [b"data"]))
    with bedrock.client(server, "s3") as s3:
        body = s3.get_object(Bucket="b", Key="k")["Body"]
        assert type(body._raw_stream).__name__ == "HTTPResponse"
        assert body.read() == b"data"
    assert not events_of(meter)


def test_a_preview_stops_before_anything_is_sent(
    meter: TokenMeter, server: Server, aws: Any
) -> None:
    server.play(bedrock.converse())
    stopped = stopped_call(lambda: aws.converse(**ASK), meter)
    assert stopped.call.provider == "bedrock"
    assert not server.sent
    assert not events_of(meter)
