"""A video that is fetched without a poll is done: its submit says what it bills."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering
from tests.capture.play import Answer, Player
from tests.providers.media import FLUSH_S
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware

FILE = b"\0\0\0\x18ftypmp42" + bytes(300_000)
VIDEO = {"id": "video_7", "object": "video", "model": "sora-2-pro", "progress": 0}
QUEUED = {**VIDEO, "status": "queued", "size": "1024x1792", "seconds": "4"}
DONE = {**QUEUED, "status": "completed"}
ASKED: dict[str, Any] = {"model": "sora-2-pro", "prompt": "a lake", "size": "1024x1792"}
URL = "https://api.openai.com/v1/videos"
VIDEO_URL, FILE_URL = f"{URL}/video_7", f"{URL}/video_7/content"
JSON, MP4 = {"content-type": "application/json"}, {"content-type": "video/mp4"}
FETCHED = Answer(200, MP4, [FILE[at : at + 65_536] for at in range(0, len(FILE), 65_536)])


def told(body: object, status: int = 200) -> Answer:
    return Answer(status, JSON, [json.dumps(body).encode()])


def client_of(meter: TokenMeter, *answers: Answer) -> httpx2.Client:
    client: httpx2.Client = meter.wrap(Player(list(answers)).client(httpx2))
    return client


def events(meter: TokenMeter) -> list[Event]:
    assert meter.flush(FLUSH_S)
    found: list[Event] = meter.backend.events
    return found


def only(meter: TokenMeter) -> Event:
    (event,) = events(meter)
    return event


def test_it_is_billed_once_to_whoever_submitted_it_however_often_it_is_fetched(
    meter: TokenMeter,
) -> None:
    client = client_of(meter, told(QUEUED), FETCHED)
    with meter.attribute(customer="acme"):
        client.post(URL, json=ASKED)
    with meter.attribute(customer="somebody else"):
        for _ in range(3):
            assert client.get(FILE_URL).content == FILE
            events(meter)
    event = only(meter)
    assert (event.external_customer_id, event.event_name) == ("acme", "video_generated")
    assert event.properties["outcome"] == "success"
    assert (event.usage.video_seconds, event.usage.video_jobs) == (4, 1), "by the submit's answer"
    assert event.properties["size"] == "1024x1792"
    assert Decimal(str(event.properties["cost_usd"])) == Decimal("2.00")
    assert meter.health()["jobs_pending"] == 0


def test_a_poll_says_the_same_before_or_after(meter: TokenMeter) -> None:
    polled, fetched = TokenMeter("memory:"), TokenMeter("memory:")
    for one, answers in ((polled, [told(DONE), FETCHED]), (fetched, [FETCHED, told(DONE)])):
        client = client_of(one, told(QUEUED), *answers)
        client.post(URL, json=ASKED)
        looks = [VIDEO_URL, FILE_URL]
        for url in looks if one is polled else reversed(looks):
            client.get(url)
            events(one)
    by_poll, by_file = only(polled), only(fetched)
    assert by_poll.event_id == by_file.event_id
    assert by_poll.usage == by_file.usage
    same = ("model", "size", "resolution", "operation", "cost_usd", "usage_source", "billable")
    assert [by_poll.properties[name] for name in same] == [
        by_file.properties[name] for name in same
    ]
    polled.shutdown()
    fetched.shutdown()


def test_a_download_that_is_broken_off_shows_it_too(meter: TokenMeter) -> None:
    client = client_of(meter, told(QUEUED), FETCHED)
    client.post(URL, json=ASKED)
    with client.stream("GET", FILE_URL) as answer:
        next(answer.iter_bytes())
    assert only(meter).properties["outcome"] == "success"


@pytest.mark.parametrize(
    "answer",
    [
        told({"error": {"message": "Video is not ready yet", "code": "not_ready"}}, 404),
        told({"error": {"message": "Video is not ready yet", "code": "not_ready"}}),
        told({**QUEUED, "status": "in_progress"}),
        Answer(200, {"content-type": "text/html"}, [b"<p>Please log in</p>"]),
        Answer(302, {"location": "https://elsewhere.example/1.mp4"}, [b""]),
        Answer(200, MP4, [], httpx2.ReadError("gone")),
    ],
)
def test_what_is_no_video_ends_no_job(meter: TokenMeter, answer: Answer) -> None:
    client = client_of(meter, told(QUEUED), answer, told(DONE))
    client.post(URL, json=ASKED)
    try:
        client.get(FILE_URL)
    except httpx2.ReadError:
        assert answer.error is not None
    assert events(meter) == []
    assert meter.health()["jobs_pending"] == 1
    client.get(VIDEO_URL)
    assert only(meter).usage.video_seconds == 4


def test_one_that_nobody_here_submitted_is_left_to_those_who_did(meter: TokenMeter) -> None:
    client = client_of(meter, FETCHED, told(DONE))
    client.get(FILE_URL)
    assert events(meter) == []
    client.get(VIDEO_URL)
    assert only(meter).usage.video_seconds == 4


def test_one_that_failed_stays_so(meter: TokenMeter) -> None:
    failed = {**DONE, "status": "failed", "error": {"code": "moderation_blocked"}}
    client = client_of(meter, told(QUEUED), told(failed), FETCHED)
    client.post(URL, json=ASKED)
    client.get(VIDEO_URL)
    client.get(FILE_URL)
    assert only(meter).properties["outcome"] == "failed"


async def test_a_gateway_sees_it_by_the_bytes_that_it_passes_on(meter: TokenMeter) -> None:
    submits = TokenMeterMiddleware(
        answering(200, JSON, [json.dumps(QUEUED).encode()]),
        customer=lambda _request: "acme",
        meter=meter,
    )
    await ask(submits, scope_of("POST", "/v1/videos"), json.dumps(ASKED).encode())
    fetches = TokenMeterMiddleware(
        answering(200, MP4, FETCHED.chunks), customer=lambda _request: "acme", meter=meter
    )
    answered = await ask(fetches, scope_of("GET", "/v1/videos/video_7/content"))
    assert answered.body == FILE
    assert "x-tokenmeter-event-id" not in answered.headers, "whether it is news is not known yet"
    event = only(meter)
    assert (event.external_customer_id, event.usage.video_seconds) == ("acme", 4)
