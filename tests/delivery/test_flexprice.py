"""Events to Flexprice: one request for many, each answer understood, the key never shown."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.cloud import KEY, POISON, Cloud, Reply, Request, error, serving, strict
from tests.delivery.failing import letters
from tests.delivery.records import MOMENT, PATIENCE_S, delivering, event, record
from tokenmeter.delivery.backends import backend_name, open_backend
from tokenmeter.delivery.backends.flexprice import BODY_BYTES_MIN, FlexpriceBackend
from tokenmeter.delivery.flexprice.session import RETRY_AFTER_MAX_S, retry_after_s
from tokenmeter.delivery.flexprice.wire import wire_json
from tokenmeter.delivery.protocol import Receipt, RefusedError, TransientError
from tokenmeter.event import Event, Property

Answers = Callable[[Request], Reply]


def backend(cloud: Cloud, options: str = "", **more: Any) -> FlexpriceBackend:
    more.setdefault("api_key", KEY)
    made = FlexpriceBackend(cloud.url + options, **more)
    cloud.clients.append(made)
    return made


def once(*replies: Reply) -> Answers:
    """Give each reply once, then behave."""
    left = list(replies)
    return lambda request: left.pop(0) if left else strict(request)


def of(properties: dict[str, Property], **more: Any) -> Event:
    return Event("text_generated", "evt_1", "cust_001", MOMENT, properties, **more)


def test_a_batch_is_one_request_with_every_event_as_flexprice_takes_it() -> None:
    with serving() as cloud:
        sent = [
            event("evt_0"),
            of(
                {
                    "model": "gpt-4o",
                    "resolution": "1080p",
                    "input_tokens": 1_500_000,
                    "video_seconds": Decimal("1.25"),
                    "attempt": 1,
                    "cost_usd": "0.17",
                }
            ),
        ]
        assert backend(cloud).send(sent) == Receipt(2)
    (request,) = cloud.requests
    assert request.path == "/v1/events/bulk"
    assert request.headers["x-api-key"] == KEY
    assert json.loads(request.body)["events"][1] == {
        "event_name": "text_generated",
        "external_customer_id": "cust_001",
        "event_id": "evt_1",
        "source": "tokenmeter",
        "timestamp": "2026-11-21T10:00:00.000Z",
        "properties": {
            "model": "gpt-4o",
            "model_type": "gpt-4o",
            "resolution": "1080p",
            "input_tokens": 1_500_000,
            "video_seconds": "1.25",
            "attempt": 1,
            "cost_usd": "0.17",
        },
    }


@pytest.mark.parametrize(
    ("name", "value", "wired"),
    [
        ("input_tokens", 2**53 - 1, 2**53 - 1),
        ("input_tokens", 2**53, "9007199254740992"),
        ("seed", 999_999, 999_999),
        ("seed", 1_000_000, "1000000"),
        ("seed", -1_000_000, "-1000000"),
        ("video_seconds", Decimal("1E+3"), "1000"),
        ("video_seconds", Decimal("0.0000001"), "0.0000001"),
        ("generate_audio", True, "true"),
        ("prompt_note", "\ud800", "?"),
    ],
)
def test_a_value_means_the_same_to_a_server_that_reads_floats(
    name: str, value: Property, wired: object
) -> None:
    with serving() as cloud:
        backend(cloud).send([of({name: value})])
    assert cloud.taken[0]["properties"] == {name: wired}


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1_000, [1_000]), (1_001, [1_000, 1])])
def test_no_request_has_more_than_1000_events(count: int, sizes: list[int]) -> None:
    with serving() as cloud:
        assert backend(cloud).send([event(f"evt_{n}") for n in range(count)]).accepted == count
    assert [len(request.events) for request in cloud.requests] == sizes


def test_no_body_is_longer_than_the_limit_unless_one_event_is() -> None:
    long = of({"note": "x" * 5_000})
    with serving() as cloud:
        batch = [event(f"evt_{n}") for n in range(100)]
        assert backend(cloud, body_bytes_max=4_000).send([*batch, long]) == Receipt(101)
    assert len(cloud.taken) == 101
    assert all(len(r.body) <= 4_020 or len(r.events) == 1 for r in cloud.requests)


def test_what_is_not_billable_has_another_name() -> None:
    unbilled = of({"billable": "false"})
    with serving() as cloud:
        backend(cloud).send([unbilled, of({"billable": "true"})])
        backend(cloud, "?unbilled_suffix=.free").send([unbilled])
        backend(cloud, "?unbilled_suffix=").send([unbilled])
    assert [each["event_name"] for each in cloud.taken] == [
        "text_generated_unbilled",
        "text_generated",
        "text_generated.free",
        "text_generated",
    ]


def test_all_requests_go_over_one_connection() -> None:
    with serving() as cloud:
        sender = backend(cloud)
        for n in range(20):
            sender.send([event(f"evt_{n}")])
        sender.close()
    assert cloud.connections == 1


def test_an_event_without_a_customer_is_held_back_and_the_rest_goes(tmp_path: Path) -> None:
    with serving() as cloud, delivering(backend(cloud), tmp_path) as delivery:
        delivery.append({**record("evt_0"), "external_customer_id": "unattributed"})
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["held"] == 1
        assert delivery.health()["dead_letters"] == 0
    assert [each["event_id"] for each in cloud.taken] == ["evt_1"]


@pytest.mark.parametrize(
    "reply",
    [
        error(500, "internal_error", "boom"),
        error(503, "service_unavailable", "later"),
        error(429, "too_many_requests", "slow"),
        Reply(408),
        Reply(trick="reset"),
        Reply(trick="lie"),
        Reply(200, b"<html>log in first</html>", {"content-type": "text/html"}),
        Reply(200, b"\n<!doctype html><title>Log in", {"content-type": ""}),
        Reply(202, b"<html>log in first</html>", {"content-type": "Text/HTML; charset=utf-8"}),
        Reply(200, b"OK", {"content-type": "text/plain"}),
        Reply(200, b'"accepted"'),
        Reply(203, b"{}"),
        Reply(207, b"{}"),
        Reply(404, b"no such page", {"content-type": "text/plain"}),
        Reply(302, b"", {"location": "http://127.0.0.1:1/v1/events/bulk"}),
    ],
    ids=lambda reply: f"{reply.status}{reply.trick}",
)
def test_what_is_no_answer_of_flexprices_is_tried_again_later(reply: Reply) -> None:
    with serving(once(reply)) as cloud:
        sender = backend(cloud)
        with pytest.raises(TransientError) as raised:
            sender.send([event("evt_1")])
        assert sender.send([event("evt_1")]) == Receipt(1)
    assert KEY not in str(raised.value)
    first, second = cloud.requests
    assert first.body == second.body  # the same id and timestamp, so that copies collapse


@pytest.mark.parametrize(
    "reply",
    [
        Reply(202, b""),
        Reply(204, b""),
        Reply(200, b' {"message": "ok"}\n', {"content-type": "text/plain"}),
        Reply(202, gzip.compress(b'{"message": "ok"}'), {"content-encoding": "gzip"}),
    ],
    ids=["nothing", "204", "JSON called text", "JSON that a proxy has compressed"],
)
def test_what_a_proxy_makes_of_flexprices_answer_is_an_answer(reply: Reply) -> None:
    with serving(once(reply)) as cloud:
        assert backend(cloud).send([event("evt_1")]) == Receipt(1)
    assert len(cloud.requests) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999999", RETRY_AFTER_MAX_S),
        ("soon", None),
        ("nan", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", RETRY_AFTER_MAX_S),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s(text) == seconds


@pytest.mark.parametrize("year", [2015, 2099])
def test_a_date_to_retry_at_is_read_by_the_clock_of_the_server_that_names_it(year: int) -> None:
    said = {"Date": f"Wed, 21 Oct {year} 07:28:00 GMT", "retry-after": f"21 Oct {year} 07:28:30"}
    with serving(once(error(429, "busy", "later", **said))) as cloud:
        with pytest.raises(TransientError) as raised:
            backend(cloud).send([event("evt_1")])
        assert raised.value.retry_after_s == 30.0


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_names_a_time_is_left_alone_until_then(tmp_path: Path, status: int) -> None:
    busy = once(error(status, "busy", "later", **{"retry-after": "1"}))
    with serving(busy) as cloud, delivering(backend(cloud), tmp_path) as delivery:
        delivery.append(record("evt_1"))
        began = time.monotonic()
        assert delivery.flush(PATIENCE_S)
        assert time.monotonic() - began >= 0.9
    assert len(cloud.requests) == 2


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    with serving(once(Reply(trick="hang"))) as cloud:
        sender = backend(cloud, "?timeout_s=0.2")
        began = time.monotonic()
        with pytest.raises(TransientError, match="Timeout"):
            sender.send([event("evt_1")])
        assert time.monotonic() - began < PATIENCE_S
        assert not sender.health()["reachable"]


@pytest.mark.parametrize("bad", [[0], [999], [3, 4, 500], list(range(0, 1_000, 100))])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_bad_event_is_found_and_the_rest_of_its_batch_goes_through(
    tmp_path: Path, status: int, bad: list[int]
) -> None:
    def refusing(request: Request) -> Reply:
        poisoned = any(POISON in each["properties"] for each in request.events)
        return error(status, "validation_error", "no good") if poisoned else strict(request)

    with serving(refusing) as cloud, delivering(backend(cloud), tmp_path) as delivery:
        for n in range(1_000):
            poison = {POISON: "1"} if n in bad else {}
            delivery.append({**record(f"evt_{n}"), "properties": {"input_tokens": 1, **poison}})
        assert delivery.flush(PATIENCE_S)
    dead = letters(tmp_path)
    assert sorted(each["event"]["event_id"] for each in dead) == sorted(f"evt_{n}" for n in bad)
    assert {each["reason"] for each in dead} == {f"HTTP {status}: no good"}
    assert len(cloud.taken) == 1_000 - len(bad)
    assert len(cloud.requests) < 25 * len(bad)


@pytest.mark.parametrize("status", [400, 413, 422, 503])
def test_what_was_taken_before_a_part_failed_is_not_sent_again(
    tmp_path: Path, status: int
) -> None:
    asked: list[int] = []

    def every_third_fails(request: Request) -> Reply:
        asked.append(len(request.events))
        return error(status, "no", "not now") if len(asked) % 3 == 0 else strict(request)

    with serving(every_third_fails) as cloud:
        parts = backend(cloud, body_bytes_max=20_000)
        with delivering(parts, tmp_path) as delivery:
            for n in range(1_000):
                delivery.append(record(f"evt_{n}"))
            assert delivery.flush(PATIENCE_S)
            assert delivery.health()["dead_letters"] == 0
    assert len(asked) > 9
    assert sorted(each["event_id"] for each in cloud.taken) == sorted(
        f"evt_{n}" for n in range(1_000)
    )


def test_a_server_that_takes_less_is_not_asked_for_more_again(tmp_path: Path) -> None:
    refused: list[int] = []

    def narrow(request: Request) -> Reply:
        if len(request.body) > 50_000:
            refused.append(len(request.body))
            return error(413, "too_large", "less, please")
        return strict(request)

    with serving(narrow) as cloud, delivering(backend(cloud), tmp_path) as delivery:
        for n in range(1_000):
            delivery.append(record(f"evt_{n}"))
        assert delivery.flush(PATIENCE_S)
        assert refused
        seen = len(refused)
        for n in range(1_000, 4_000):
            delivery.append(record(f"evt_{n}"))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["dead_letters"] == 0
    assert len(refused) == seen, "what it refused once is not tried again"
    assert {each["event_id"] for each in cloud.taken} == {f"evt_{n}" for n in range(4_000)}


def test_a_limit_is_learned_down_to_a_bound_and_forgotten_once_more_is_taken() -> None:
    answers = [error(413, "too_large", "less, please")] * 20
    many = [event(f"evt_{n}") for n in range(1_000)]
    with serving(lambda request: answers.pop() if answers else strict(request)) as cloud:
        sender = backend(cloud)
        for size in (1_000, 500, 250, 125, *[60] * 16):
            with pytest.raises(RefusedError):
                sender.send(many[:size])
        assert len(cloud.requests[-1].body) < BODY_BYTES_MIN
        sender.send(many)
        assert len(cloud.requests[-2].body) > BODY_BYTES_MIN * 0.9
        sender.send(many)
    assert len(cloud.requests[-1].events) == 1_000


def test_a_bad_event_that_comes_alone_is_a_dead_letter_at_once(tmp_path: Path) -> None:
    with serving() as cloud, delivering(backend(cloud), tmp_path) as delivery:
        delivery.append({**record("evt_1"), "properties": {POISON: "1"}})
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["dead_letters"] == 1
    assert len(cloud.requests) == 1


def test_a_refused_batch_is_said_to_be_refused_and_a_refused_event_rejected() -> None:
    bad = of({POISON: "1"})
    with serving() as cloud:
        with pytest.raises(RefusedError, match="poisoned"):
            backend(cloud).send([bad, event("evt_2")])
        (rejection,) = backend(cloud).send([bad]).rejected
    assert (rejection.event_id, rejection.reason) == ("evt_1", "HTTP 400: properties are poisoned")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_delivery_and_keeps_the_events(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda request: Reply(status, {"error": "Unauthorized"})) as cloud:
        with delivering(backend(cloud), tmp_path) as delivery:
            for n in range(10):
                delivery.append(record(f"evt_{n}"))
            assert not delivery.flush(0.5)
            assert not delivery.flush(0.5)
            health = delivery.health()
            assert "refuses the API key" in health["last_error"]
            assert health["records"] == 10
        assert len(cloud.requests) == 1
    assert letters(tmp_path) == []
    assert "refuses the API key" in caplog.text
    assert KEY not in caplog.text
    name = backend_name(cloud.url)
    with serving() as good, delivering(_at(good, name), tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert len(good.taken) == 10


def _at(cloud: Cloud, name: str) -> FlexpriceBackend:
    """The same server at another port: its name is what the journal knows it by."""

    class Moved(FlexpriceBackend):
        @property
        def name(self) -> str:
            return name

    return Moved(cloud.url, api_key=KEY)


def test_a_new_key_in_the_file_is_used_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old\n")
    with serving() as cloud:
        sender = backend(cloud, api_key=None, key_file=file)
        with pytest.raises(TransientError, match="refuses the API key"):
            sender.send([event("evt_1")])
        assert sender.health()["key_accepted"] is False
        file.unlink()
        with pytest.raises(TransientError, match="cannot be read"):
            sender.send([event("evt_1")])
        file.write_text(KEY + "\r\n")
        assert sender.send([event("evt_1")]) == Receipt(1)
        assert sender.health()["key_accepted"]


def test_a_check_says_whether_server_and_key_are_good_and_sends_nothing() -> None:
    with serving() as cloud:
        found = backend(cloud).check()
        assert (found["reachable"], found["key_accepted"]) == (True, True)
        assert found["clock_skew_s"] == 0.0
        refused = backend(cloud, api_key="other").check()
        assert (refused["reachable"], refused["key_accepted"]) == (True, False)
        assert "refuses" in refused["error"]
    gone = backend(cloud).check()
    assert (gone["reachable"], gone["key_accepted"]) == (False, None)
    assert cloud.taken == []


def test_a_clock_that_is_wrong_is_seen() -> None:
    late = Reply(headers={"Date": "Wed, 21 Oct 2015 07:28:00 GMT"})
    with serving(once(late)) as cloud:
        sender = backend(cloud)
        sender.send([event("evt_1")])
        assert sender.health()["clock_skew_s"] < -3e8


def test_a_backend_of_flexprice_is_opened_by_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", KEY)
    with serving() as cloud:
        opened = open_backend(cloud.url)
        assert isinstance(opened, FlexpriceBackend)
        assert opened.send([event("evt_1")]) == Receipt(1)
        opened.close()


def test_a_search_for_a_bad_event_goes_on_where_a_failure_stopped_it(tmp_path: Path) -> None:
    asked = [0]

    def failing_every_second_time(request: Request) -> Reply:
        asked[0] += 1
        return error(500, "internal_error", "boom") if asked[0] % 2 == 0 else strict(request)

    with (
        serving(failing_every_second_time) as cloud,
        delivering(backend(cloud), tmp_path) as delivery,
    ):
        for n in range(1_000):
            poison = {POISON: "1"} if n == 999 else {}
            delivery.append({**record(f"evt_{n}"), "properties": poison})
        assert delivery.flush(PATIENCE_S)
    assert [each["event"]["event_id"] for each in letters(tmp_path)] == ["evt_999"]
    assert len(cloud.taken) == 999
    assert asked[0] <= 2 * 21 + 2


@given(
    name=st.text(),
    properties=st.dictionaries(
        st.text(), st.one_of(st.text(), st.integers(), st.decimals(allow_nan=False))
    ),
)
def test_any_event_is_written_as_json_that_says_the_same(
    name: str, properties: dict[str, Property]
) -> None:
    sent = Event(name, name, name, MOMENT, {**properties, "billable": "true"}, source=name)
    found = json.loads(wire_json(sent, "_unbilled"))
    clean = name.encode("utf-8", "replace").decode()
    assert found == {
        **dict.fromkeys(("event_name", "external_customer_id", "event_id", "source"), clean),
        "timestamp": "2026-11-21T10:00:00.000Z",
        "properties": found["properties"],
    }
    assert len(found["properties"]) <= len(sent.properties)
    for key, value in sent.properties.items():
        if key.isascii() and not isinstance(value, str):
            assert Decimal(found["properties"][key]) == value
