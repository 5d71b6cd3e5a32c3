"""Kling's tasks on both surfaces: submit, poll, list, callback."""

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
    is_clean,
    played,
    read,
    read_parsed,
    samples,
)
from tokenmeter.providers import Reading
from tokenmeter.providers.kling import ADAPTER, webhook

HOST = "https://api-singapore.klingai.com"
OLD = f"{HOST}/v1/videos/text2video"
VIDEO = {"id": "v1", "url": "https://x/1.mp4", "duration": "5.041"}
UNIT = {"charge_type": "unit", "amount": "3", "package_type": "video"}


def old(**fields: Any) -> Json:
    task = {
        "task_id": "83",
        "task_status": "succeed",
        "task_status_msg": "",
        "task_result": {"videos": [VIDEO]},
        "final_unit_deduction": "2.5",
        "created_at": 1769685116248,
        "updated_at": 1769685162155,
        **fields,
    }
    return {"code": 0, "message": "SUCCEED", "request_id": "r", "data": task}


def new(**fields: Any) -> Json:
    return {
        "id": "93",
        "status": "succeeded",
        "message": "",
        "outputs": [{"type": "video", **VIDEO}],
        "billing": [UNIT],
        "create_time": 1785901861504,
        "update_time": 1785901961504,
        **fields,
    }


def polled_old(place: str = "videos/text2video", host: str = HOST, **fields: Any) -> Reading:
    return read(asked("GET", f"{host}/v1/{place}/83"), old(**fields))


def polled_new(**fields: Any) -> Reading:
    body = {"code": 0, "data": [new(**fields)]}
    return read(asked("GET", f"{HOST}/tasks?task_ids=93"), body)


def steps(row: Any) -> list[Step]:
    """The submit of a sample, as both surfaces answer it, and its poll, twice."""
    create, _, poll = row["call"].partition(" (")[0].partition(" -> ")
    data = row["response"]["data"]
    task: Json = data[0] if isinstance(data, list) else data
    job_id = task.get("id") or task["task_id"]
    submitted = {"id": job_id, "status": "submitted"}
    if "task_id" in task:
        submitted = {"task_id": job_id, "task_status": "submitted"}
    path = poll.removeprefix("GET ").replace("{id}", job_id)
    path += job_id if path.endswith("=") else ""
    submit = Step(
        "POST", HOST + create.split(" ")[1], {"code": 0, "data": submitted}, row["request"]
    )
    return [submit, *[Step("GET", HOST + path, row["response"])] * 2]


@pytest.mark.parametrize("row", samples("kling"), ids=lambda row: row["id"])
def test_a_sample_gives_one_event_however_often_it_is_polled(row: Any) -> None:
    made = played(*steps(row))
    assert departures(row, made) == []
    assert made.pending == []


def test_a_job_of_the_old_surface_is_found_by_the_new_surfaces_poll() -> None:
    body = {"model_name": "kling-v2-6", "duration": "10", "mode": "pro", "sound": "on"}
    submit = Step("POST", OLD, {"code": 0, "data": {"task_id": "93"}}, body)
    video = {"type": "video", **VIDEO, "duration": "10.041"}
    poll = {"code": 0, "data": [new(outputs=[video])]}
    event = played(submit, Step("GET", f"{HOST}/tasks?task_ids=93", poll)).event
    assert event.external_customer_id == CUSTOMER
    assert event.properties["model"] == "kling-v2-6"
    assert event.usage.video_seconds == 10
    assert event.properties["mode"] == "pro"


def test_the_users_own_task_id_in_a_poll_is_not_the_job() -> None:
    submit = Step(
        "POST", OLD, {"code": 0, "data": {"task_id": "83"}}, {"external_task_id": "mine"}
    )
    made = played(submit, Step("GET", f"{OLD}/mine", old()))
    assert (made.pending, made.event.external_customer_id) == ([], CUSTOMER)


@pytest.mark.parametrize(
    ("path", "method", "page"),
    [
        ("/v1/videos/text2video?pageNum=1", "GET", {"data": [old()["data"]] * 2}),
        (
            "/tasks?task_ids=83,84",
            "GET",
            {"data": [new(id="83"), new(id="84", status="processing")]},
        ),
        ("/tasks", "POST", {"data": {"result": [new(id="83"), 7], "count": 1}}),
        ("/solutions?task_ids=83", "GET", {"data": [new(id="83")]}),
    ],
)
def test_a_list_ends_the_jobs_on_it(path: str, method: str, page: Json) -> None:
    submit = Step("POST", OLD, {"code": 0, "data": {"task_id": "83"}}, {"duration": "5"})
    made = played(submit, Step(method, HOST + path, {"code": 0, **page}))
    assert (made.event.usage.video_seconds, made.pending) == (5, [])
    assert made.event.external_customer_id == CUSTOMER
    assert played(Step(method, HOST + path, {"code": 0, "data": []})).events == []


def test_trap_04_success_is_spelled_two_ways_and_unknown_states_go_on() -> None:
    assert polled_old(task_status="succeed").state == "success"
    assert polled_new(status="succeeded").state == "success"
    for stage in ("submitted", "processing", "reviewing", "SUCCEED"):
        assert polled_old(task_status=stage).state == "pending"
        assert dict(polled_new(status=stage).usage) == {}


def test_trap_03_a_failure_is_an_http_200_and_its_message_is_not_kept() -> None:
    said = "Failure to pass the risk control system: a fox"
    risky = polled_old(task_status="failed", task_status_msg=said, final_unit_deduction="0")
    assert (risky.state, risky.error_type) == ("failed", "filtered")
    assert risky.dimensions["provider_units"] == "0"
    assert dict(risky.usage) == {}
    assert polled_new(status="failed", message="boom").error_type == "task_failed"
    assert polled_new(status="failed", code=5001).error_type == "5001"
    event = played(
        Step("POST", OLD, {"code": 0, "data": {"task_id": "83"}}, {}),
        Step("GET", f"{OLD}/83", old(task_status="failed", task_status_msg=said)),
    ).event
    assert (event.properties["outcome"], event.properties["billable"]) == ("failed", "false")
    assert "fox" not in str(event.properties)


@pytest.mark.parametrize("code", [1102, "1102"])
def test_a_refused_submit_has_failed(code: object) -> None:
    body = {"code": code, "message": "resource pack depleted", "request_id": "r"}
    event = played(Step("POST", OLD, body, {})).event
    assert event.properties["outcome"] == "failed"
    assert event.properties["error_type"] == "1102"
    accepted: list[Any] = [0, "0", None, True, [], "ok"]
    for good in accepted:
        assert read(asked("POST", OLD), {**old(), "code": good}).state == "success"


def test_trap_08_the_length_is_the_one_that_is_billed() -> None:
    for written, billed in (("5.041", 5), ("5.1", 5), ("9.958", 10), (5, 5), ("0.2", 0)):
        reading = polled_old(task_result={"videos": [{**VIDEO, "duration": written}]})
        assert reading.usage.video_seconds == (billed or reading.usage.video_seconds)
        assert reading.dimensions["video_seconds_actual"] == str(written)
    odd = polled_old(task_result={"videos": [{**VIDEO, "duration": "5.5"}]})
    assert str(odd.usage.video_seconds) == "5.5"


def test_trap_21_an_extension_bills_what_it_added() -> None:
    longer = {"videos": [{**VIDEO, "duration": "10.1"}]}
    parent = {"parent_video": {"id": "v0", "duration": "5.1"}}
    extended = polled_old("videos/video-extend", task_result=longer, task_info=parent)
    assert extended.usage.video_seconds == 5
    spoken = polled_old("videos/lip-sync", task_info=parent)
    assert spoken.usage.video_seconds == 5  # as long as its parent


@pytest.mark.parametrize("junk", ["x", -5, True, float("nan"), {}, "4000"])
def test_a_length_that_is_none_is_flagged_and_the_submit_tells(junk: object) -> None:
    poll = old(task_result={"videos": [{**VIDEO, "duration": junk}] * 2})
    submit = Step("POST", OLD, {"code": 0, "data": {"task_id": "83"}}, {"duration": "10"})
    event = played(submit, Step("GET", f"{OLD}/83", poll)).event
    assert event.usage.video_seconds == 20
    assert event.properties["flags"] == "invalid:duration"
    silent = polled_old(task_result={"videos": [{"url": "u"}]})
    assert (silent.usage.video_seconds, silent.flags) == (None, frozenset())


def test_trap_02_what_is_delivered_counts() -> None:
    missing = {"type": "video", "duration": "5"}
    outputs = [{"type": "video", **VIDEO}, missing, 7]
    assert polled_new(outputs=outputs).usage.video_count == 1
    for nothing in ([], [missing], "junk", None):
        reading = polled_new(outputs=nothing)
        assert (reading.state, reading.error_type) == ("failed", "no_output")


def test_images_are_counted_on_either_surface() -> None:
    single = {"images": [{"index": 0, "url": "u"}, {"index": 1, "url": "u"}]}
    reading = polled_old("images/generations", task_result=single)
    assert dict(reading.usage) == {"output_count": 2, "image_count": 2}
    series = {
        "result_type": "series",
        "images": [{"url": "u"}],
        "series_images": [{"url": "u"}] * 3,
    }
    assert polled_old("images/omni-image", task_result=series).usage.image_count == 3
    series["result_type"] = "single"
    assert polled_old("images/omni-image", task_result=series).usage.image_count == 1
    drawn = polled_new(outputs=[{"type": "image", "url": "u"}] * 2)
    assert (drawn.event_name, drawn.usage.image_count) == ("image_generated", 2)


def test_sounds_and_elements_are_outputs_of_their_own_kind() -> None:
    sound = {"id": "a", "url_mp3": "u", "duration_mp3": "3.5"}
    heard = polled_old("audio/text-to-audio", task_result={"audios": [sound]})
    assert (heard.event_name, str(heard.usage.audio_seconds)) == ("audio_generated", "3.5")
    assert polled_new(outputs=[{"type": "audio", "mp3_url": "u"}]).usage.audio_seconds is None
    element = polled_new(outputs=[{"type": "element", "id": "e", "name": "Zhang"}])
    assert (element.event_name, dict(element.usage)) == ("api_calls", {"output_count": 1})
    assert polled_new(outputs=[{"type": "product_video", "url": "u"}]).usage.video_count == 1
    voices = polled_old("general/custom-voices", task_result={"voices": [{"name": "n"}]})
    assert voices.usage.output_count == 1


def test_units_are_a_dimension_and_money_is_the_cost() -> None:
    assert polled_new().dimensions["provider_units"] == "3"
    assert polled_new().cost is None
    dollars = {"charge_type": "cash", "amount": "0.42", "currency": "USD"}
    paid = polled_new(billing=[dollars, {**UNIT, "amount": "1"}, UNIT])
    assert (paid.cost, paid.dimensions["provider_units"]) == ("0.42", "4")
    yuan = polled_new(billing=[{**dollars, "currency": "CNY"}])
    assert (yuan.cost, yuan.dimensions["provider_cost_cny"]) == (None, "0.42")
    for odd in ("junk", [7], [{**dollars, "amount": "x"}], [{**dollars, "currency": []}]):
        assert polled_new(billing=odd).cost is None


def test_a_failed_tasks_bare_0_is_what_was_deducted() -> None:
    free = polled_new(status="failed", outputs=None, billing=[{"amount": "0"}])
    assert (free.state, free.dimensions["provider_units"]) == ("failed", "0")


def test_units_of_images_are_of_another_package_and_no_video_units() -> None:
    drawn = {"images": [{"index": 0, "url": "u"}, {"index": 1, "url": "u"}]}
    place, charged = f"{HOST}/v1/images/omni-image", {"final_unit_deduction": "16"}
    event = played(
        Step("POST", place, {"code": 0, "data": {"task_id": "83"}}, {"n": 2}),
        Step("GET", f"{place}/83", old(task_result=drawn, **charged)),
    ).event
    found = event.properties
    assert (found["provider_units"], found["unit_package"]) == ("16", "image")
    assert (found["cost_usd"], found["computed_cost_usd"]) == ("0.056", "0.056")
    worn = polled_old("images/kolors-virtual-try-on", task_result=drawn, **charged)
    assert worn.dimensions["unit_package"] == "try_on"
    named = polled_new(billing=[{**UNIT, "package_type": "image"}])
    assert named.dimensions["unit_package"] == "image"
    assert "unit_package" not in polled_old(task_result=drawn, final_unit_deduction="").dimensions


def test_a_quota_is_dollars_but_not_in_beijing_and_not_where_the_host_is_unknown() -> None:
    quota: Json = {"final_balance_deduction": {"quota": "0.35", "list_price": "0.35"}}
    assert polled_old(**quota).cost == "0.35"
    assert polled_old(host="https://api.klingai.com", **quota).cost == "0.35"
    assert polled_old(host="https://api-beijing.klingai.com", **quota).cost is None
    assert polled_old(host="https://gate.example/kling", **quota).cost is None


@pytest.mark.parametrize("body", [old()["data"], new(), old(), {"code": 0, "data": [new()]}])
def test_a_callback_of_either_surface_is_read_like_a_poll_and_so_is_a_polls_own_body(
    body: Json,
) -> None:
    call = webhook(body)
    assert call is not None
    reading = read(call, body)
    assert (reading.usage.video_seconds, reading.state) == (5, "success")
    assert reading.response_id == call.job_id
    assert call.job_id in {old()["data"]["task_id"], new()["id"]}
    assert webhook({"code": 0, "data": [new(), new()]}) is None  # which of them?
    assert ADAPTER.webhook is webhook
    for junk in ({}, {"id": "9"}, {"id": [], "status": "failed"}, {**new(), "status": "dancing"}):
        assert webhook(junk) is None


def test_an_answer_without_a_task_is_done_at_once() -> None:
    recognised = {"code": 0, "data": {"task_result": {"images": []}, "final_unit_deduction": "1"}}
    event = played(Step("POST", f"{HOST}/v1/videos/image-recognize", recognised, {})).event
    assert (event.event_name, event.properties["provider_units"]) == ("api_calls", "1")
    spoken = old(task_result={"audios": [{"id": "a", "url": "u", "duration": "2"}]})
    event = played(Step("POST", f"{HOST}/v1/audio/tts", spoken, {"text": "hello"})).event
    assert (event.usage.characters, event.usage.audio_seconds) == (5, 2)
    assert read(asked("POST", OLD), {"code": 0, "data": None}).usage == {}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    spoiled([old(), {"code": 0, "data": [new(billing=[UNIT, {"charge_type": "cash"}])]}, new()])
)
def test_no_junk_raises_or_becomes_a_number(payloads: list[Any]) -> None:
    for call in (asked("GET", f"{OLD}/83"), asked("GET", f"{HOST}/tasks?task_ids=93")):
        for payload in payloads:
            assert is_clean(read_parsed(call, payload))
    for payload in payloads:
        assert webhook(payload) is None or payload["data" if "data" in payload else "status"]
