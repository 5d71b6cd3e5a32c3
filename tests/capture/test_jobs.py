"""Jobs: the submit knows whose it is, a later answer knows the usage, and both are one event."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player, chunks_of
from tests.capture.test_openai_lifecycle import events_of, only
from tokenmeter import Event, TokenMeter
from tokenmeter.capture.observation import provider_id
from tokenmeter.jobs import Jobs

JOB = "resp_" + "a" * 30
EVENT_ID = provider_id("openai", JOB)


def openai_of(*answers: Answer) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=Player(list(answers)).client(), max_retries=0)


def submit(meter: TokenMeter, **attribution: Any) -> None:
    client = openai_of(wire.response_answer(JOB, "queued"))
    attribution = attribution or {"customer": "acme", "feature": "bg", "tags": {"team": "a"}}
    with meter.attribute(**attribution):
        client.responses.create(model="gpt-5-mini", input="Hello", background=True)


def poll(meter: TokenMeter, *answers: Answer, **attribution: Any) -> None:
    """Retrieve until the answers are used up; errors are part of the game."""
    client = openai_of(*answers)
    with meter.attribute(**attribution):
        for _ in answers:
            try:
                client.responses.retrieve(JOB)
            except openai.APIError:
                continue


def assert_settled(event: Event) -> None:
    found = event.properties
    assert event.event_id == EVENT_ID
    assert event.external_customer_id == "acme"
    assert (found["feature"], found["tag_team"]) == ("bg", "a")
    assert (found["input_tokens"], found["output_tokens"]) == (20, 8)
    assert (found["outcome"], found["usage_source"]) == ("success", "reported")
    assert (found["attempt"], found["request_count"]) == (1, 1)
    assert "is_retry" not in found


DONE = wire.response_answer(JOB)
RUNNING = wire.response_answer(JOB, "in_progress")


def test_a_submit_makes_no_event_and_the_retrieve_makes_one(meter: TokenMeter) -> None:
    submit(meter)
    assert events_of(meter) == []
    assert meter.health()["jobs_pending"] == 1
    poll(meter, RUNNING, RUNNING, DONE)
    assert_settled(only(meter))
    assert meter.health()["jobs_pending"] == 0


def test_ten_polls_are_one_event_and_count_once_in_their_run(meter: TokenMeter) -> None:
    submit(meter)
    with meter.run("polls"):
        poll(meter, *([DONE] * 10))
    assert_settled(only(meter))


def test_a_run_counts_a_job_once(meter: TokenMeter) -> None:
    submit(meter)
    with meter.run() as run:
        poll(meter, DONE, DONE, DONE)
    assert run.usage.input_tokens == 20


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_a_poll_that_fails_says_nothing_of_its_job(meter: TokenMeter, status: int) -> None:
    submit(meter)
    poll(meter, wire.failure(status), Answer(status, {}, [b"<html>"]))
    assert events_of(meter) == []
    poll(meter, Answer(error=httpx2.ConnectError("refused")), DONE)
    assert_settled(only(meter))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((202, b""), (200, b""), (204, b"")),
        *((200, b"<html>busy</html>"), (200, b"{}"), (200, b'{"message": "ok"}')),
    ],
)
def test_a_poll_that_is_answered_with_nothing_ends_no_job(
    meter: TokenMeter, status: int, body: bytes
) -> None:
    submit(meter)
    with Player([Answer(status, {}, [body] if body else [])]).client() as client:
        client.get(f"https://api.openai.com/v1/responses/{JOB}")
    assert events_of(meter) == []
    assert meter.health()["jobs_pending"] == 1
    poll(meter, DONE)
    assert_settled(only(meter))


def test_whoever_polls_the_submitter_pays(meter: TokenMeter) -> None:
    submit(meter)
    poll(
        meter,
        DONE,
        customer="poller",
        feature="cron",
        environment="ops",
        tags={"team": "z", "x": "y"},
    )
    event = only(meter)
    assert_settled(event)
    assert not {"environment", "tag_x"} & event.properties.keys(), "the poller's own"


def test_without_a_submitter_the_poller_is_named(meter: TokenMeter) -> None:
    submit(meter, feature="bg")
    poll(meter, DONE, customer="poller", feature="cron")
    event = only(meter)
    assert event.external_customer_id == "poller"
    assert event.properties["feature"] == "bg"


def test_the_order_of_submit_and_retrieve_does_not_matter(meter: TokenMeter) -> None:
    poll(meter, DONE, customer="acme", feature="bg", tags={"team": "a"})
    submit(meter)
    poll(meter, DONE)
    assert_settled(only(meter))
    assert meter.health()["jobs_pending"] == 0, "it has ended"


def test_a_retried_submit_and_a_retried_poll_are_attempts_of_their_own(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(), wire.response_answer(JOB, "queued"), wire.failure(), DONE)
    with meter.attribute(customer="acme"):
        for _ in range(2):
            try:
                client.responses.create(model="gpt-5-mini", input="Hello", background=True)
            except openai.RateLimitError:
                continue
        for _ in range(2):
            try:
                client.responses.retrieve(JOB)
            except openai.RateLimitError:
                continue
    failed, settled = events_of(meter)
    assert failed.properties["outcome"] == "failed"
    assert settled.properties["attempt"] == 2, "the submit's, not the poll's"
    assert settled.properties["retry_of"] == failed.event_id
    assert settled.properties["call_id"] == failed.properties["call_id"]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_failed_is_not_billable(meter: TokenMeter, status: str) -> None:
    submit(meter)
    poll(meter, wire.response_answer(JOB, status), wire.response_answer(JOB, status))
    event = only(meter)
    assert (event.event_id, event.external_customer_id) == (EVENT_ID, "acme")
    found = event.properties
    assert (found["outcome"], found["billable"]) == ("failed", "false")
    assert not {"input_tokens", "output_tokens"} & found.keys()


def test_both_directions_of_a_job_belong_to_the_submitter() -> None:
    meter = TokenMeter("memory:", shape="tokens_total")
    meter.instrument()
    submit(meter)
    poll(meter, DONE, DONE)
    both = events_of(meter)
    assert [event.properties["tokens"] for event in both] == [20, 8]
    assert [event.properties["prompt_type"] for event in both] == ["input", "output"]
    assert {event.external_customer_id for event in both} == {"acme"}
    assert sum(event.usage.get("request_count", 0) for event in both) == 1
    meter.shutdown()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


def meter_at(home: Path) -> TokenMeter:
    home.mkdir(exist_ok=True)
    meter = TokenMeter(f"sqlite:///{home / 'usage.db'}", state_dir=home)
    meter.instrument()
    return meter


def test_submit_and_retrieve_may_be_of_two_processes(home: Path) -> None:
    first, second = meter_at(home), meter_at(home)
    submit(first)
    assert first.flush(30)
    poll(second, RUNNING, DONE)
    poll(first, DONE, customer="someone")
    assert first.flush(30)
    assert second.flush(30)
    page = second.engine.events()
    assert len(page.events) == 1
    assert_settled(page.events[0])
    assert page.events[0].properties["cost_source"] == "computed"
    assert second.engine.conflicts() == [], "the copies agree"
    first.shutdown()
    second.shutdown()


def test_a_job_outlives_the_process_that_submitted_it(home: Path) -> None:
    first = meter_at(home)
    submit(first)
    first.shutdown()
    second = meter_at(home)
    assert second.health()["jobs_pending"] == 1
    poll(second, DONE)
    assert second.flush(30)
    assert_settled(second.engine.events().events[0])
    second.shutdown()
    assert second.health()["jobs_pending"] == 0, "health can be asked for after the end"


@pytest.mark.parametrize("where", [100, 4_096])
def test_health_says_that_the_job_store_cannot_be_read(home: Path, where: int) -> None:
    meter = meter_at(home)
    submit(meter)
    assert meter.flush(30)
    meter.jobs.close()
    with sqlite3.connect(home / "jobs.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    path = home / "jobs.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:where] + b"\xff" * (len(whole) - where))
    meter.jobs = Jobs(None, lambda: False)
    meter.jobs._store._db = sqlite3.connect(path, check_same_thread=False)
    found = meter.health()
    assert found["jobs_pending"] is None
    assert "cannot be used" in found["jobs_error"]
    assert found["dead_letters"] == 0
    meter.shutdown()


BATCH = "msgbatch_" + "b" * 24
MODELS = ("claude-haiku-5-20260301", "claude-opus-5-20260401", "claude-sonnet-5-20260514")


def batch(status: str) -> Answer:
    counts = {"processing": 0, "succeeded": 6, "errored": 1, "canceled": 0, "expired": 0}
    body = {"id": BATCH, "type": "message_batch", "processing_status": status}
    return Answer(200, dict(wire.JSON), [json.dumps({**body, "request_counts": counts}).encode()])


def results(cut: int | None = None) -> Answer:
    """Two messages of each model, and one that failed, as JSON lines."""
    lines: list[dict[str, Any]] = [
        {
            "custom_id": f"{n}-{model}",
            "result": {
                "type": "succeeded",
                "message": {
                    "id": f"msg_{n}{model}",
                    "type": "message",
                    "role": "assistant",
                    "model": model,
                    "content": [],
                    "usage": {"input_tokens": 10 * (MODELS.index(model) + 1), "output_tokens": 1},
                },
            },
        }
        for n in range(2)
        for model in MODELS
    ]
    lines.append({"custom_id": "e", "result": {"type": "errored", "error": {"type": "x"}}})
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()[:cut]
    return Answer(200, {"content-type": "application/x-jsonl"}, chunks_of(body, 97))


def claude_of(*answers: Answer) -> anthropic.Anthropic:
    http = Player(list(answers)).client()
    return anthropic.Anthropic(api_key="k", http_client=http, max_retries=0)


def run_batch(meter: TokenMeter, *ends: Answer) -> None:
    client = claude_of(batch("in_progress"), batch("ended"))
    with meter.attribute(customer="acme", feature="nightly"):
        client.messages.batches.create(requests=[])
    with meter.attribute(customer="worker"):
        client.messages.batches.retrieve(BATCH)
        for end in ends:
            url = f"https://api.anthropic.com/v1/messages/batches/{BATCH}/results"
            Player([end]).client().get(url)


def test_all_models_of_a_batch_are_kept_and_belong_to_the_submitter(meter: TokenMeter) -> None:
    run_batch(meter, results(), results())
    events = events_of(meter)
    assert sorted(str(event.properties["model"]) for event in events) == list(MODELS)
    assert [event.usage["input_tokens"] for event in events] == [20, 40, 60]
    for event in events:
        assert event.external_customer_id == "acme"
        assert event.properties["feature"] == "nightly"
        assert event.properties["service_tier"] == "batch"
        assert event.properties["billable"] == "true"
    assert len({event.event_id for event in events}) == 3
    assert sum(event.usage.get("request_count", 0) for event in events) == 1
    assert meter.health()["jobs_pending"] == 0


def test_results_that_were_not_read_to_their_end_do_not_settle_a_batch(meter: TokenMeter) -> None:
    run_batch(meter)
    url = f"https://api.anthropic.com/v1/messages/batches/{BATCH}/results"
    with Player([results()]).client().stream("GET", url) as answer:
        next(answer.iter_raw())
    assert events_of(meter) == []
    Player([results()]).client().get(url)
    assert [event.usage["input_tokens"] for event in events_of(meter)] == [20, 40, 60]
