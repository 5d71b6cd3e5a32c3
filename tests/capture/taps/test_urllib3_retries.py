"""requests' own way to send again, `HTTPAdapter(max_retries=Retry(...))`: an event each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from tests.capture import wire
from tests.capture.play import Answer
from tests.capture.taps.server import Server, serving
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter

URL = "http://api.openai.com/v1/chat/completions"
BROKEN = Answer(error=ConnectionError())


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def session(server: Server) -> Iterator[requests.Session]:
    retry = Retry(3, status_forcelist=[429, 503], allowed_methods=None, backoff_factor=0)
    retry.respect_retry_after_header = False
    with requests.Session() as made:
        made.proxies = {"http": server.url}
        made.mount("http://", HTTPAdapter(max_retries=retry))
        yield made


@pytest.mark.parametrize("stream", [True, False])
def test_each_answer_that_is_sent_again_for_is_an_attempt(
    meter: TokenMeter, server: Server, session: requests.Session, stream: bool
) -> None:
    server.play(wire.failure(429), BROKEN, wire.failure(503), wire.chat())
    with session.post(URL, json=ASK, stream=stream) as response:
        assert response.json()["usage"]["total_tokens"] == 11
    assert len(server.sent) == 4
    events = sorted(events_of(meter), key=lambda event: str(event.properties["attempt"]))
    found = [event.properties for event in events]
    assert [each["attempt"] for each in found] == [1, 2, 3, 4]
    assert [each["outcome"] for each in found] == ["failed", "failed", "failed", "success"]
    assert [each.get("http_status") for each in found] == ["429", None, "503", "200"]
    assert found[1]["error_type"] == "ProxyError"  # the server stands in as a proxy
    assert len({each["call_id"] for each in found}) == 1
    assert [each["retry_of"] for each in found[1:]] == [event.event_id for event in events[:3]]
    assert_usage(events[3], input_tokens=9, output_tokens=2)


def test_a_retried_stream_hides_what_only_we_asked_for(
    meter: TokenMeter, server: Server, session: requests.Session
) -> None:
    server.play(wire.failure(503), wire.chat_stream())
    with session.post(URL, json={**ASK, "stream": True}, stream=True) as response:
        assert response.content == b"".join(wire.chat_stream(usage=False).chunks)
    assert [event.usage.get("output_tokens") for event in events_of(meter)] == [None, 6]


def test_a_call_that_is_given_up_is_one_failure_that_names_the_last(
    meter: TokenMeter, server: Server, session: requests.Session
) -> None:
    server.play(wire.failure(503))
    with pytest.raises(requests.exceptions.RetryError):
        session.post(URL, json=ASK)
    assert only(meter).properties["error_type"] == "RetryError"


def test_a_session_without_retries_makes_one_event(meter: TokenMeter, server: Server) -> None:
    server.play(wire.failure(503))
    with requests.Session() as plain:
        plain.proxies = {"http": server.url}
        answer: Any = plain.post(URL, json=ASK)
    assert answer.status_code == 503
    assert only(meter).properties["http_status"] == "503"
