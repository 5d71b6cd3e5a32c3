"""settle_job: a webhook's body settles its job as a poll would, once."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

import tokenmeter
from tests.capture.play import Answer, Player
from tests.providers.media import FLUSH_S
from tokenmeter import Event, JobError, TokenMeter
from tokenmeter.capture.observation import provider_id
from tokenmeter.delivery.jobs import NOT_SUBMITTED
from tokenmeter.errors import ConfigurationError

Json = dict[str, Any]
KLING = "https://api-singapore.klingai.com/v1/videos/image2video"
ASKED = {"model_name": "kling-v2-6", "mode": "pro", "duration": "5", "image": "u", "sound": "off"}
SUBMITTED = {"code": 0, "data": {"task_id": "k1", "task_status": "submitted"}}
# A callback of Kling's: the task, without the envelope that a poll has.
TOLD: Json = {
    "task_id": "k1",
    "task_status": "succeed",
    "task_info": {"external_task_id": "e1"},
    "task_result": {"videos": [{"id": "v1", "url": "https://x/1.mp4", "duration": "5.041"}]},
    "final_unit_deduction": "2.5",
    "updated_at": 1769685162155,
}


def sent(meter: TokenMeter, *answers: Json) -> httpx2.Client:
    told = [
        Answer(200, {"content-type": "application/json"}, [json.dumps(a).encode()])
        for a in answers
    ]
    client: httpx2.Client = meter.wrap(Player(told).client(httpx2))
    return client


def submit(meter: TokenMeter, **attribution: Any) -> None:
    with meter.attribute(**(attribution or {"customer": "acme", "feature": "clips"})):
        sent(meter, SUBMITTED).post(KLING, json=ASKED)


def only(meter: TokenMeter) -> Event:
    assert meter.flush(FLUSH_S)
    event: Event
    (event,) = meter.backend.events
    return event


def encoded(told: Json) -> bytes:
    return json.dumps(told).encode()


@pytest.mark.parametrize("form", [dict, json.dumps, encoded])
def test_a_webhook_settles_its_job(meter: TokenMeter, form: Any) -> None:
    submit(meter)
    settled = meter.settle_job("kling", form(TOLD))
    assert settled is not None
    assert (settled.external_customer_id, settled.usage.video_seconds) == ("acme", 5)
    facts = settled.properties
    assert (facts["model"], facts["mode"], facts["resolution"]) == ("kling-v2-6", "pro", "1080p")
    assert (facts["operation"], facts["provider_units"]) == ("image2video", "2.5")
    assert (facts["feature"], facts["generate_audio"]) == ("clips", "false")
    assert settled.to_dict() == only(meter).to_dict(), "what is returned is what is delivered"
    assert meter.health()["jobs_pending"] == 0


def test_ten_polls_and_ten_webhooks_are_one_event(meter: TokenMeter) -> None:
    submit(meter)
    poll = sent(meter, {"code": 0, "data": {**TOLD, "created_at": 1769685116248}})
    with meter.run("polls") as run:
        for _ in range(10):
            poll.get(f"{KLING}/k1")
            meter.settle_job("kling", TOLD)
    event = only(meter)
    assert (event.event_id, event.external_customer_id) == (provider_id("kling", "k1"), "acme")
    assert run.usage.video_seconds == 5


def test_a_webhook_may_come_before_the_submit_is_known(meter: TokenMeter) -> None:
    submit(meter)  # the shipper has not seen it yet
    told = meter.settle_job("kling", TOLD)
    assert told is not None
    assert told.external_customer_id == only(meter).external_customer_id == "acme"


def test_a_job_that_failed_bills_nothing(meter: TokenMeter) -> None:
    submit(meter)
    failed = {"task_id": "k1", "task_status": "failed", "task_status_msg": "risk control"}
    settled = meter.settle_job("kling", failed)
    assert settled is not None
    facts = only(meter).properties
    assert (facts["outcome"], facts["billable"]) == ("failed", "false")
    assert (facts["error_type"], settled.usage.video_seconds) == ("filtered", None)


def test_a_job_that_goes_on_is_none(meter: TokenMeter) -> None:
    submit(meter)
    assert meter.settle_job("kling", {"task_id": "k1", "task_status": "processing"}) is None
    assert meter.flush(FLUSH_S)
    assert (meter.backend.events, meter.health()["jobs_pending"]) == ([], 1)


def test_a_job_never_submitted_here_is_an_event_by_itself(meter: TokenMeter) -> None:
    told = meter.settle_job("kling", TOLD)
    assert told is not None
    event = only(meter)
    assert event.external_customer_id == told.external_customer_id == "unattributed"
    assert NOT_SUBMITTED in str(event.properties["flags"]).split(",")
    assert event.usage.video_seconds == 5


def test_the_customer_around_a_webhook_counts_where_no_submit_is_known(meter: TokenMeter) -> None:
    with meter.attribute(customer="acme"):
        told = meter.settle_job("kling", TOLD)
    assert told is not None
    assert only(meter).external_customer_id == "acme"


@pytest.mark.parametrize(
    "body",
    [
        *(None, "", b"", "not json", b"\xff", "[]", "7", [], 7, {}),
        *({"task_id": "k1"}, {"task_id": "k1", "task_status": "??"}, {"task_status": "succeed"}),
        *({"task_id": 7, "task_status": "succeed"}, {"data": [TOLD, TOLD]}, "{" * 100_000),
    ],
    ids=lambda body: str(body)[:20],
)
def test_a_malformed_webhook_is_one_clear_error_and_the_job_stays_pending(
    meter: TokenMeter, body: Any
) -> None:
    submit(meter)
    with pytest.raises(JobError, match=r"[Tt]he job stays pending"):
        meter.settle_job("kling", body)
    assert meter.flush(FLUSH_S)
    assert (meter.backend.events, meter.health()["jobs_pending"]) == ([], 1)
    assert meter.faults == 0


def test_an_absurdly_large_webhook_is_refused_unread(
    meter: TokenMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenmeter.webhooks.BODY_BYTES_MAX", 10)
    with pytest.raises(JobError, match="at most 10 bytes"):
        meter.settle_job("kling", json.dumps(TOLD))


def test_an_unknown_provider_is_named_with_those_that_are_known(meter: TokenMeter) -> None:
    with pytest.raises(ConfigurationError, match=r"'acme'; use one of .*kling.*runway"):
        meter.settle_job("acme", TOLD)
    with pytest.raises(ConfigurationError, match="'acme'"):
        meter.settle_job("acme", {})


def test_an_empty_webhook_is_told_from_one_of_the_wrong_type(meter: TokenMeter) -> None:
    with pytest.raises(JobError, match="that is not empty"):
        meter.settle_job("kling", {})


def test_the_package_has_it_for_the_default_meter() -> None:
    default = tokenmeter.configure("memory:")
    with default.attribute(customer="acme"):
        told = tokenmeter.settle_job("kling", TOLD)
    assert told is not None
    assert only(default).event_id == told.event_id
    tokenmeter.shutdown()


VEO = "models/veo-3.1-generate-preview/operations/o1"


@pytest.mark.parametrize(
    ("provider", "body", "job_id"),
    [
        ("google", {"name": VEO, "done": True, "error": {"code": 3}}, VEO),
        (
            "google-vertex",
            {"name": f"projects/p/locations/l/publishers/google/{VEO}", "done": True},
            None,
        ),
        ("google", {"object": "interaction", "id": "i1", "status": "failed"}, "i1"),
        ("openai", {"object": "video", "id": "video_1", "status": "failed"}, "video_1"),
        ("openai", {"object": "response", "id": "resp_1", "status": "failed"}, "resp_1"),
        ("azure", {"object": "video", "id": "video_1", "status": "failed"}, "video_1"),
        ("fal", {"request_id": "r1", "status": "ERROR", "error": "x"}, "r1"),
        ("replicate", {"id": "p1", "status": "failed"}, "p1"),
        ("runway", {"id": "t1", "status": "FAILED"}, "t1"),
        ("luma", {"id": "g1", "state": "failed"}, "g1"),
        ("minimax", {"task_id": "m1", "status": "failed", "base_resp": {}}, "m1"),
        ("byteplus", {"id": "cgt-1", "status": "expired"}, "cgt-1"),
        ("alibaba", {"output": {"task_id": "a1", "task_status": "FAILED"}}, "a1"),
        ("happyhorse", {"data": {"task_id": "h1", "status": "FAILED"}}, "h1"),
        ("marble", {"operation_id": "o1", "done": True, "error": {"code": 4}}, "o1"),
        ("bfl", {"id": "b1", "status": "Content Moderated"}, "b1"),
        ("muapi", {"id": "u1", "status": "failed"}, "u1"),
    ],
)
def test_every_provider_of_jobs_can_be_told_of_a_failure(
    meter: TokenMeter, provider: str, body: Json, job_id: str | None
) -> None:
    told = meter.settle_job(provider, body)
    assert told is not None
    assert (told.properties["outcome"], told.properties["provider"]) == ("failed", provider)
    assert told.event_id == provider_id(provider, job_id or body["name"])


def test_a_webhook_of_openai_or_google_names_the_job_and_is_no_end(meter: TokenMeter) -> None:
    thin = {"object": "event", "type": "video.completed", "data": {"id": "video_1"}}
    assert meter.settle_job("openai", thin) is None
    with pytest.raises(JobError):
        meter.settle_job("openai", {"object": "event", "type": "eval.run", "data": {"id": "e"}})
    thin = {"type": "video.generated", "data": {"id": VEO, "output_file_uri": "https://x/1.mp4"}}
    assert meter.settle_job("google", thin) is None, "how many, and how long, a poll says"
    with pytest.raises(JobError):
        meter.settle_job("google", {"type": "video.generated", "data": {}})
    with pytest.raises(JobError):
        meter.settle_job("google", {"name": "files/f1"})
    with pytest.raises(JobError):
        meter.settle_job("google", {"object": "interaction"})
