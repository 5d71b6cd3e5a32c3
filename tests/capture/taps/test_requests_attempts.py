"""requests: redirects, re-sends and retries are told apart: one event per attempt."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from requests.auth import HTTPDigestAuth

from tests.capture import wire
from tests.capture.play import Answer
from tests.capture.taps.sessions import session_of
from tests.capture.taps.test_requests import ASK_CLAUDE, CLAUDE_URL, SHOWN, STREAM, URL
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter


def moved(url: str) -> Answer:
    return Answer(307, {"location": url}, [b"moved"])


def test_a_redirect_within_a_provider_is_one_event(meter: TokenMeter) -> None:
    session, player = session_of(moved(URL + "?a=1"), moved(URL + "?a=2"), wire.chat())
    response = session.post(URL, json=ASK)
    assert [r.status_code for r in response.history] == [307, 307]
    assert len(player.sent) == 3
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_redirect_that_is_not_followed_has_failed(meter: TokenMeter) -> None:
    session, _ = session_of(moved(URL + "?a=1"), wire.chat())
    session.post(URL, json=ASK, allow_redirects=False)
    found = only(meter).properties
    assert (found["outcome"], found["http_status"]) == ("failed", "307")
    assert (found["billable"], found["error_type"]) == ("false", "http_307")


def test_a_redirect_from_an_unknown_host_is_metered_once(meter: TokenMeter) -> None:
    session, _ = session_of(moved(URL), wire.chat_stream())
    with session.post("https://proxy.example/ask", json=STREAM, stream=True) as response:
        assert response.content == SHOWN
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


def test_a_redirected_request_shows_the_users_own_body(meter: TokenMeter) -> None:
    session, player = session_of(moved(URL + "?a=1"), wire.chat_stream())
    with session.post(URL, json=STREAM, stream=True) as response:
        assert response.content == SHOWN
    for shown in (response.request, response.history[0].request):
        body: Any = shown.body
        assert json.loads(body) == STREAM
        assert shown.headers["content-length"] == str(len(body))
    assert json.loads(player.sent[0].body)["stream_options"]


def test_digest_authentication_is_one_event(meter: TokenMeter) -> None:
    asked = {"www-authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm="MD5"'}
    session, player = session_of(Answer(401, asked, [b"no"]), wire.chat())
    session.post(URL, json=ASK, auth=HTTPDigestAuth("u", "p"))
    assert len(player.sent) == 2
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_hook_that_sends_again_is_one_event(meter: TokenMeter) -> None:
    session, player = session_of(wire.failure(401), wire.chat())

    def refresh(response: requests.Response, **options: Any) -> Any:
        return session.send(response.request) if response.status_code == 401 else None

    session.hooks["response"].append(refresh)
    assert session.post(URL, json=ASK).status_code == 200
    assert len(player.sent) == 2
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_call_inside_a_hook_is_another_event(meter: TokenMeter) -> None:
    session, _ = session_of(wire.chat("chatcmpl-a"), wire.message(), wire.chat("chatcmpl-b"))

    def ask_claude(response: requests.Response, **options: Any) -> None:
        session.hooks["response"].clear()
        session.post(CLAUDE_URL, json={**ASK_CLAUDE, "stream": False})

    session.hooks["response"].append(ask_claude)
    session.post(URL, json=ASK)
    assert {event.properties["provider"] for event in events_of(meter)} == {"openai", "anthropic"}


def raise_for_status(response: requests.Response, **options: Any) -> None:
    response.raise_for_status()


def test_a_status_that_a_hook_raises_for_is_kept(meter: TokenMeter) -> None:
    session, _ = session_of(wire.failure(503))
    session.hooks["response"].append(raise_for_status)
    with pytest.raises(requests.HTTPError):
        session.post(URL, json=ASK)
    found = only(meter).properties
    assert (found["outcome"], found["http_status"]) == ("failed", "503")


def test_a_retry_by_hand_is_the_next_attempt(meter: TokenMeter) -> None:
    session, _ = session_of(wire.failure(), wire.failure(500), wire.chat())
    while session.post(URL, json=ASK, stream=True).status_code != 200:
        continue
    events = sorted(events_of(meter), key=lambda event: str(event.properties["attempt"]))
    assert [event.properties["attempt"] for event in events] == [1, 2, 3]
    assert len({event.properties["call_id"] for event in events}) == 1


def test_a_transport_error_is_a_failed_attempt(meter: TokenMeter) -> None:
    session, _ = session_of(Answer(error=requests.ConnectionError("refused")))
    with pytest.raises(requests.ConnectionError, match="refused"):
        session.post(URL, json=ASK)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ConnectionError")
