"""Fireworks' images: an image as bytes, or some in JSON."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import ask, body_of, bytes_of, call

HOST = "api.fireworks.ai"
MODEL = "accounts/fireworks/models/flux-1-schnell-fp8"
PATH = f"/inference/v1/workflows/{MODEL}/text_to_image"


def test_an_image_may_come_as_bytes() -> None:
    asked = call(PATH, {"prompt": "x"}, host=HOST)
    assert (asked.provider, asked.request_model) == ("fireworks", MODEL)
    assert asked.api.event_name == "image_generated"
    reading = bytes_of(asked, b"\xff\xd8", "image/jpeg")
    assert (reading.state, dict(reading.usage)) == (
        "success",
        {"image_count": 1, "output_count": 1},
    )
    assert bytes_of(asked, b"<html>", "text/html").state is None


@pytest.mark.parametrize(
    ("images", "state", "made"),
    [
        (["aGk=", "aGk="], "success", 2),
        (["aGk=", None, ""], "success", 1),
        ([], "failed", None),
        ("junk", None, None),
    ],
)
def test_images_in_json_are_counted(images: Any, state: str | None, made: int | None) -> None:
    body = {"id": "1", "base64": images, "finishReason": "SUCCESS", "seed": 7}
    reading = body_of(call(PATH, {"prompt": "x"}, host=HOST), body)
    assert (reading.state, reading.usage.image_count) == (state, made)


def test_a_refusal_names_its_code_and_other_paths_are_no_images() -> None:
    reading = body_of(call(PATH, {}, host=HOST), {"error": {"code": "NOT_FOUND"}})
    assert (reading.state, reading.error_type) == ("failed", "NOT_FOUND")
    assert ask(PATH, method="GET", host=HOST) is None
    assert ask(f"/inference/v1/workflows/{MODEL}/get_result", host=HOST) is None
    chat = call("/inference/v1/chat/completions", {"model": MODEL}, host=HOST)
    assert (chat.provider, chat.api.operation) == ("fireworks", "chat.completions")


def test_a_decision_counts_the_input_that_its_cache_held() -> None:
    asked = call("/inference/v1/decisions", {"model": MODEL}, host=HOST)
    used = {"input_tokens": 900, "output_tokens": 3, "cached_input_tokens": 800}
    reading = body_of(asked, {"id": "d", "model": MODEL, "usage": used})
    assert (reading.usage.cache_read_tokens, reading.usage.uncached_input_tokens) == (800, 100)
    assert reading.flags == frozenset()
