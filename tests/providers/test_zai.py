"""Z.ai's answers that are fetched later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.exchanges import ASK, Json, chat, chat_usage
from tests.providers.media import Step, described, played

BASE = "https://open.bigmodel.cn/api/paas/v4"
CHATS, VIDEOS = f"{BASE}/async/chat/completions", f"{BASE}/videos/generations"
CLIP = {"model": "cogvideox-3", "prompt": "x", "size": "1920x1080", "duration": 5, "fps": 30}


def task(status: str, **fields: Any) -> Json:
    return {"id": "t1", "request_id": "r", "model": "m", "task_status": status, **fields}


def look(status: str, **fields: Any) -> Step:
    return Step("GET", f"{BASE}/async-result/t1", task(status, **fields))


def test_a_chat_that_is_fetched_later_is_one_event_of_its_submit() -> None:
    told = {k: v for k, v in chat(chat_usage(9, 2)).items() if k in ("choices", "usage")}
    done = look("SUCCESS", **told)
    made = played(Step("POST", CHATS, task("PROCESSING"), ASK), look("PROCESSING"), done, done)
    event = made.event
    assert (event.event_name, event.external_customer_id) == ("text_generated", "acme")
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 2)
    assert (event.properties["provider"], made.pending) == ("zai", [])


@pytest.mark.parametrize(("asked", "length"), [(CLIP, 5), ({"model": "cogvideox-3"}, None)])
def test_a_video_has_the_length_that_was_asked_for(asked: Json, length: int | None) -> None:
    submit = Step("POST", VIDEOS, task("PROCESSING"), asked)
    event = played(submit, look("SUCCESS", video_result=[{"url": "u"}])).event
    assert (event.event_name, event.usage.get("video_count")) == ("video_generated", 1)
    assert event.usage.get("video_seconds") == length
    assert event.properties.get("resolution") == (None if length is None else "1080p")


@pytest.mark.parametrize("submit", [CHATS, VIDEOS])
def test_a_task_that_failed_or_was_refused_is_a_failure(submit: str) -> None:
    asked = Step("POST", submit, task("PROCESSING"), {"model": "m"})
    made = played(asked, look("FAIL"))
    assert (made.event.properties["outcome"], made.pending) == ("failed", [])
    refused = {"error": {"code": "1302", "message": "x"}}
    event = played(Step("POST", submit, refused, {"model": "m"}, status=429)).event
    assert event.properties["error_type"] == "1302"


def test_an_answer_of_another_kind_ends_no_task() -> None:
    asked = Step("POST", CHATS, task("PROCESSING"), ASK)
    made = played(asked, Step("GET", f"{BASE}/async-result/t1", {"message": "x"}))
    assert (made.events, len(made.pending)) == ([], 1)


@pytest.mark.parametrize(("method", "url"), [("POST", f"{BASE}/async-result/t1"), ("GET", CHATS)])
def test_what_asks_for_no_task_is_not_metered(method: str, url: str) -> None:
    assert described(method, url) is None
