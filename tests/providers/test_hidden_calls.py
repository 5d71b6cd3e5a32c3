"""Calls that hide in another call: billed under their own model, never under the other's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import Json, Step, played
from tokenmeter.event import Event

RESPONSES = "https://api.openai.com/v1/responses"
IMAGES = "https://api.openai.com/v1/images/generations"
CLAUDE = "https://api.anthropic.com/v1/messages?beta=true"
DRAWN: Json = {
    "input_tokens": 50,
    "output_tokens": 4_160,
    "total_tokens": 4_210,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 50},
    "output_tokens_details": {"image_tokens": 4_160, "text_tokens": 0},
}


def hidden(url: str, body: Json, answer: Json) -> Event:
    (part,) = [e for e in played(Step("POST", url, answer, body)).events if "part" in e.properties]
    return part


def drawn_by(model: str | None) -> Event:
    tool = {"type": "image_generation", **({} if model is None else {"model": model})}
    return hidden(
        RESPONSES,
        {"model": "gpt-5", "input": "A fox", "tools": [tool]},
        {
            "id": "resp_1",
            "object": "response",
            "status": "completed",
            "model": "gpt-5-2025-08-07",
            "output": [{"type": "image_generation_call", "id": "ig_1", "result": "aGk="}],
            "tools": [tool],
            "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
            "tool_usage": {"image_gen": DRAWN},
        },
    )


@pytest.mark.parametrize("model", ["gpt-image-9", None])
def test_an_image_of_a_model_without_a_price_is_not_priced_as_the_chat(model: str | None) -> None:
    part = drawn_by(model)
    assert part.properties["request_model"] == part.properties["model"] != "gpt-5"
    assert part.properties["cost_source"] == "unpriced"


def test_an_image_costs_what_its_own_model_does() -> None:
    part = drawn_by("gpt-image-1.5")  # 5 and 32 a million
    assert part.properties["request_model"] == "gpt-image-1.5"
    assert part.properties["cost_usd"] == "0.13337"


def test_an_svg_is_priced_by_the_model_that_wrote_it() -> None:
    svg: Json = {"input_tokens": 500, "output_tokens": 2_500, "reasoning_tokens": 1_500}
    answer = {
        "created": 1_790_000_000,
        "data": [{"b64_json": "aGk="}],
        "usage": {**DRAWN},
        "svg_usage": {"model": "gpt-writer-9", **svg, "total_tokens": 3_000},
    }
    part = hidden(IMAGES, {"model": "gpt-image-1.5", "prompt": "x"}, answer)
    assert part.properties["request_model"] == "gpt-writer-9"
    assert part.properties["cost_source"] == "unpriced"


def test_svgs_of_the_responses_tool_are_priced_by_the_model_that_wrote_them() -> None:
    svg: Json = {"input_tokens": 500, "output_tokens": 2_500, "reasoning_tokens": 1_500}
    drawn = {"type": "image_generation_call", "result": "aGk=", "status": "completed"}
    written = {"model": "gpt-5", **svg, "total_tokens": 3_000}
    made = played(
        Step(
            "POST",
            RESPONSES,
            {
                "id": "resp_1",
                "status": "completed",
                "model": "gpt-5",
                "output": [{**drawn, "id": i, "svg_usage": written} for i in ("ig_1", "ig_2")],
                "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
            },
            {"model": "gpt-5", "input": "A fox", "tools": [{"type": "image_generation"}]},
        )
    )
    by_part = {event.properties.get("part"): event for event in made.events}
    assert by_part.keys() == {None, "svg"}
    found = by_part["svg"].properties
    assert (found["input_tokens"], found["output_tokens"], found["model"]) == (
        1_000,
        5_000,
        "gpt-5",
    )
    assert found["cost_usd"] == "0.05125"
    own = by_part[None].properties
    assert own["image_count"] == 2
    assert own["cost_note"] == "the images of its tool are not in this cost"


def test_a_compaction_by_the_same_model_keeps_the_name_that_was_asked_for() -> None:
    entries: list[Any] = [{"type": "compaction", "input_tokens": 1_000, "output_tokens": 10}]
    usage = {"input_tokens": 9, "output_tokens": 2, "iterations": entries}
    answer = {"id": "msg_1", "type": "message", "model": "claude-opus-4-6", "usage": usage}
    part = hidden(CLAUDE, {"model": "claude-opus-4-6", "max_tokens": 9, "messages": []}, answer)
    assert part.properties["request_model"] == "claude-opus-4-6"
