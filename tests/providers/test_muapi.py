"""MuAPI: submit, poll, webhook; the charge that every answer reports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.providers.junk import spoiled
from tests.providers.media import (
    CUSTOMER,
    Json,
    Step,
    asked,
    departures,
    described,
    is_clean,
    played,
    read,
    read_parsed,
    samples,
)
from tokenmeter.providers import Reading
from tokenmeter.providers.media_kinds import kind_of_model
from tokenmeter.providers.muapi import ADAPTER, read_headers, webhook

HOST = "https://api.muapi.ai/api/v1"
MODEL = "seedance-2-image-to-video"
POLL = f"{HOST}/predictions/abc/result"
COST = {"amount_usd": 0.6, "amount_credits": 60, "bonus_credits_used": 0, "refunded": False}
SUBMITTED = {"request_id": "abc", "status": "processing", "cost": COST}
SAMPLES = samples("muapi")


def done(**fields: Any) -> Json:
    return {
        "id": "abc",
        "status": "completed",
        "outputs": ["https://cdn.muapi.ai/out.mp4"],
        "cost": COST,
        **fields,
    }


def polled(**fields: Any) -> Reading:
    return read(asked("GET", POLL), done(**fields))


def submit(body: Json, model: str = MODEL, answer: Json = SUBMITTED) -> Step:
    return Step("POST", f"{HOST}/{model}", answer, body)


@pytest.mark.parametrize("row", SAMPLES, ids=lambda row: row["id"])
def test_a_sample_gives_its_event(row: Any) -> None:
    answer = row["response"]
    job_id = answer.get("request_id") or answer["id"]
    first = {"request_id": job_id, "status": "processing", "cost": answer["cost"]}
    steps = [submit(row["request"], row["model"], first)]
    if "GET" in row["call"]:
        steps += [Step("GET", f"{HOST}/predictions/{job_id}/result", answer)] * 2
    made = played(*steps)
    assert departures(row, made) == []
    if not made.events:
        (job,) = made.pending
        charged = row["expected_provider_reported"]["provider_cost_usd"]
        assert float(job["submitted"]["properties"]["reported_cost_usd"]) == charged


def test_trap_07_what_only_the_request_knew_is_kept_until_the_end() -> None:
    body = {
        "prompt": "x",
        "duration": "8s",
        "resolution": "1080p",
        "fps": 30,
        "images_list": ["u"],
    }
    outputs = ["https://x/1.mp4", {"url": "https://x/2.mp4?sig=a"}]
    event = played(submit(body), Step("GET", POLL, done(outputs=outputs))).event
    assert event.external_customer_id == CUSTOMER
    assert event.event_name == "video_generated"
    assert event.usage.video_seconds == 16
    assert event.properties["model"] == MODEL
    assert (event.properties["resolution"], event.properties["fps"]) == ("1080p", "30")
    assert (event.properties["input_type"], event.usage.output_count) == ("image", 2)
    assert event.properties["usage_source"] == "estimated"
    assert event.properties["flags"] == "counted"


def test_a_poll_alone_says_that_its_length_is_missing() -> None:
    event = played(Step("GET", POLL, done())).event
    assert event.usage.video_count == 1
    assert "video_seconds" not in event.usage
    assert event.properties["flags"] == "counted,job_not_submitted,missing:video_seconds"


def test_the_charge_is_the_providers_own() -> None:
    event = played(submit({"duration": 5}), Step("GET", POLL, done())).event
    assert (event.properties["cost_usd"], event.properties["cost_source"]) == ("0.6", "reported")
    assert polled(cost={"amount_usd": "0.0042"}).cost == "0.0042"
    broken: list[Any] = [None, "x", {"amount_usd": -1}, {"amount_usd": float("nan")}, []]
    for junk in broken:
        assert polled(cost=junk).cost is None


def test_trap_25_the_headers_name_the_charge_too() -> None:
    spent = read_headers({"x-muapi-cost-usd": "0.004200", "x-muapi-cost-credits": "1"})
    assert spent.cost is not None
    assert float(spent.cost) == 0.0042
    assert read_headers({"x-muapi-cost-usd": "1", "x-muapi-cost-refunded": "true"}).cost == "0"
    assert read_headers({}).cost is None
    assert asked("GET", POLL).api.read_headers is read_headers


@pytest.mark.parametrize("stage", ["failed", "cancelled", "canceled", "error", "timeout"])
def test_a_job_that_failed_costs_what_was_not_given_back(stage: str) -> None:
    refunded = {**COST, "refunded": True}
    answer = done(status=stage, outputs=[], error="no fox", cost=refunded)
    event = played(submit({"duration": 5}), Step("GET", POLL, answer)).event
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", stage)
    assert event.properties["reported_cost_usd"] == "0"
    assert {"video_seconds", "output_count"}.isdisjoint(event.usage)
    assert polled(status=stage, cost=COST).cost == "0.6"
    assert "fox" not in str(event.properties)


def test_trap_04_other_spellings_of_success_and_states_that_go_on() -> None:
    assert polled(status="succeeded").state == polled(status="COMPLETED").state == "success"
    for stage in ("queued", "pending", "processing", "dreaming", None):
        assert polled(status=stage).state == "pending"
        assert dict(polled(status=stage).usage) == {}


@pytest.mark.parametrize("outputs", [[], None, [7, {}, ""], {}])
def test_nothing_delivered_has_failed(outputs: object) -> None:
    reading = polled(outputs=outputs)
    assert (reading.state, reading.error_type) == ("failed", "no_output")


def test_files_are_counted_by_their_kind() -> None:
    pictures = polled(outputs=["https://x/1.png", "https://x/2.JPEG#a", "https://x/3"])
    assert dict(pictures.usage) == {"output_count": 3, "image_count": 2}
    assert pictures.event_name == "image_generated"
    assert polled(outputs="https://x/1.mp3").event_name == "audio_generated"
    unknown = polled(outputs=["https://x/file"])
    assert (unknown.event_name, dict(unknown.usage)) == (None, {"output_count": 1})


def test_an_image_whose_address_says_nothing_is_known_from_its_request() -> None:
    made = done(outputs=["https://cdn.muapi.ai/a", "https://cdn.muapi.ai/b"])
    event = played(submit({"num_images": 2}, "flux-dev-image"), Step("GET", POLL, made)).event
    assert event.usage.image_count == 2


def test_a_sandbox_answers_at_once() -> None:
    made = done(request_id="abc", cost={**COST, "amount_usd": 0}, outputs=["u/1.mp4", "u/2.mp4"])
    event = played(submit({"duration": 5}, answer=made)).event
    assert (event.usage.video_seconds, event.properties["cost_usd"]) == (10, "0")


def test_a_refused_submit_has_failed() -> None:
    event = played(Step("POST", f"{HOST}/{MODEL}", {"detail": "no credits"}, {}, status=402)).event
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", "error")
    assert read(asked("POST", f"{HOST}/{MODEL}"), {"hello": 1}).state != "success"


def test_a_webhook_is_the_result() -> None:
    body = {**done(), "urls": {"get": POLL}, "created_at": "2026-11-20T10:00:00Z", "error": ""}
    call = webhook(body)
    assert call is not None
    reading = read(call, body)
    assert (reading.response_id, reading.state) == ("abc", "success")
    assert reading.created == "2026-11-20T10:00:00Z"
    assert ADAPTER.webhook is webhook
    for junk in ({}, {"id": "abc"}, {"status": "completed"}, done(status="odd"), done(status=7)):
        assert webhook(junk) is None


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("seedance-2-image-to-video", "video_generated"),
        ("veo3.1-text-to-video", "video_generated"),
        ("kling-v2.1-master-t2v", "video_generated"),
        ("generate_wan_ai_effects", "video_generated"),
        ("flux-dev-image", "image_generated"),
        ("nano-banana", "image_generated"),
        ("kling-o1-text-to-image", "image_generated"),
        ("suno-create-music", "audio_generated"),
        ("mmaudio-v2-video-to-audio", "audio_generated"),
        ("any-llm-models", "text_generated"),
    ],
)
def test_a_models_name_says_what_it_makes(model: str, kind: str) -> None:
    assert kind_of_model(model) == kind
    assert asked("POST", f"{HOST}/{model}").api.event_name == kind


@pytest.mark.parametrize(
    ("body", "facts", "length"),
    [
        ({}, {"resolution": "720p", "input_type": "image"}, None),
        ({"video_url": "u"}, {"input_type": "video"}, None),
        ({"duration": 5.5, "generate_audio": True}, {"generate_audio": "true"}, "5.5"),
        ({"seconds": "4", "sound": False}, {"generate_audio": "false"}, "4"),
        ({"duration": -1, "fps": "x", "quality": "pro"}, {"quality": "pro"}, None),
        ({"duration": "long", "num_images": 1.5, "mode": "std"}, {"mode": "std"}, None),
        ({"n": 3, "aspect_ratio": "16:9", "size": []}, {"n": "3", "aspect_ratio": "16:9"}, None),
    ],
)
def test_a_submit_has_the_facts_that_its_body_names(
    body: Json, facts: Json, length: str | None
) -> None:
    call = asked("POST", f"{HOST}/{MODEL}", body)
    assert facts.items() <= call.dimensions.items()
    assert str(call.usage.get("video_seconds")) == str(length)


def test_inputs_and_sounds_of_other_models() -> None:
    assert asked("POST", f"{HOST}/flux-dev").dimensions == {"input_type": "text"}
    assert dict(asked("POST", f"{HOST}/flux-dev").usage) == {"image_count": 1}
    assert dict(asked("POST", f"{HOST}/suno-create-music", {"duration": 30}).usage) == {}
    nested = asked("POST", "https://muapi.ai/api/v1/endpoint/generate_wan_ai_effects", {})
    assert nested.request_model == "generate_wan_ai_effects"
    assert asked("GET", f"{HOST}/predictions/abc").job_id == "abc"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/account/balance"),
        ("POST", "/account/topup"),
        ("POST", "/keys"),
        ("POST", "/upload_file"),
        ("GET", "/models"),
        ("GET", f"/{MODEL}"),
        ("POST", "/predictions/abc/result"),
        ("POST", "/estimate-cost"),
        ("GET", "/a/b/c"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, path: str) -> None:
    assert described(method, HOST + path) is None


BODY = {"duration": "5", "fps": 24, "images_list": ["u"], "generate_audio": True, "n": 2}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled([done(), SUBMITTED, BODY]))
def test_no_junk_raises_or_becomes_a_number(payloads: list[Any]) -> None:
    answer, first, body = payloads
    call = asked("POST", f"{HOST}/{MODEL}", body)
    assert {type(value) for value in call.dimensions.values()} <= {str}
    assert is_clean(read_parsed(asked("GET", POLL), answer))
    assert is_clean(read_parsed(call, first))
    assert webhook(answer) is None or answer["status"]
