"""Where no exchange is seen, what a decorated function returns is read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from anthropic.types import Message
from google.genai.types import GenerateContentResponse
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_decorator import quiet as quiet  # the fixture
from tests.capture.test_openai_lifecycle import ASK, events_of, only
from tokenmeter import Event, TokenMeter


def body_of(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(b"".join(answer.chunks))
    return body


def returning(meter: TokenMeter, value: Any, **options: Any) -> Event:
    """The event of a decorated function that returns `value`, which stays what it is."""

    @meter.metered(customer="acme", **options)
    def made_elsewhere() -> Any:
        return value

    assert made_elsewhere() is value
    return only(meter)


CHAT = body_of(wire.chat())
MESSAGE = body_of(wire.message())
GEMINI = body_of(wire.gemini())
EMBEDDING: dict[str, Any] = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
SIGHTS: dict[str, tuple[Any, str, dict[str, int]]] = {
    "ChatCompletion": (
        ChatCompletion.model_validate(CHAT),
        "openai",
        {"input_tokens": 9, "output_tokens": 2},
    ),
    "chat dict": (CHAT, "openai", {"input_tokens": 9, "output_tokens": 2}),
    "Response": (
        Response.construct(**wire.response("resp_" + "a" * 30)),
        "openai",
        {"input_tokens": 20, "output_tokens": 8, "reasoning_tokens": 3},
    ),
    "Embedding": (
        CreateEmbeddingResponse.model_validate(EMBEDDING),
        "openai",
        {"input_tokens": 3},
    ),
    "image dict": (
        body_of(wire.image()),
        "openai",
        {"image_count": 1, "output_tokens": 4160},
    ),
    "Message": (
        Message.model_validate(MESSAGE),
        "anthropic",
        {"input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 5},
    ),
    "message dict": (MESSAGE, "anthropic", {"input_tokens": 100, "output_tokens": 5}),
    "GenerateContentResponse": (
        GenerateContentResponse.model_validate(GEMINI),
        "google",
        {"input_tokens": 8, "output_tokens": 7, "reasoning_tokens": 4},
    ),
    "gemini dict": (GEMINI, "google", {"input_tokens": 8, "output_tokens": 7}),
}


@pytest.mark.parametrize(("value", "provider", "usage"), SIGHTS.values(), ids=SIGHTS)
def test_an_answer_of_an_sdk_and_its_wire_form_are_read(
    quiet: TokenMeter, value: Any, provider: str, usage: dict[str, int]
) -> None:
    event = returning(quiet, value)
    found = event.properties
    assert {name: found.get(name) for name in usage} == usage
    assert (found["provider"], found["outcome"]) == (provider, "success")
    assert (found["usage_source"], found["billable"]) == ("reported", "true")
    assert event.external_customer_id == "acme"
    assert "flags" not in found


@pytest.mark.parametrize(
    "value", ["Hello", None, 5, [CHAT], ("text", CHAT), object(), {}, {"a": 1}]
)
def test_what_has_no_usage_makes_one_flagged_event_and_one_warning(
    quiet: TokenMeter, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    event = returning(quiet, value)
    assert event.event_name == "api_calls"
    assert event.properties["usage_source"] == "missing"
    assert event.properties["flags"] == "no_usage_found"
    assert not {"input_tokens", "output_tokens"} & event.properties.keys()
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "made_elsewhere" in warning.getMessage()
    assert "extract=" in warning.getMessage()


def test_extract_names_metrics_dimensions_and_the_model(quiet: TokenMeter) -> None:
    def extract(value: Any) -> dict[str, Any]:
        assert value == "a world"
        named = {"provider": "marble", "model": "marble-1.1", "quality": "draft"}
        used = {"world_count": 1, "time_seconds": 2.5, "tokens": Decimal("0.1")}
        return {**used, **named, "hd": True, "seed": 7, "nothing": None}

    event = returning(quiet, "a world", extract=extract, event_name="world_generated")
    found = event.properties
    assert event.event_name == "world_generated"
    used = {"world_count": 1, "time_seconds": Decimal("2.5"), "tokens": Decimal("0.1")}
    assert event.usage == {**used, "request_count": 1}
    wanted = {"provider": "marble", "model": "marble-1.1", "quality": "draft", "hd": "true"}
    assert {name: found[name] for name in wanted} == wanted
    assert found["seed"] == "7"
    assert "nothing" not in found
    assert found["usage_source"] == "reported"


@pytest.mark.parametrize(
    "number", [True, -1, float("nan"), float("inf"), Decimal("NaN"), "12", [], 10**30, 1e-40]
)
def test_junk_from_extract_is_flagged_and_no_number(quiet: TokenMeter, number: Any) -> None:
    def extract(_: object) -> dict[str, Any]:
        return {"input_tokens": number, "output_tokens": 5, "model": "m"}

    event = returning(quiet, "x", extract=extract)
    assert event.usage == {"output_tokens": 5, "request_count": 1}
    assert event.properties["flags"] == "invalid:input_tokens"


def test_extract_that_finds_nothing_or_raises_leaves_a_flagged_event() -> None:
    def broken(_: Any) -> dict[str, Any]:
        raise KeyError("usage")

    def nothing(_: Any) -> None:
        """Find nothing."""

    cases: list[tuple[Any, int]] = [(nothing, 0), (dict, 0), (broken, 1), (id, 1)]
    for extract, faults in cases:
        meter = TokenMeter("memory:")
        event = returning(meter, (), extract=extract)
        assert event.properties["flags"] == "no_usage_found"
        assert meter.faults == faults
        meter.shutdown()


def test_an_exchange_that_was_seen_counts_and_the_return_value_does_not(
    quiet: TokenMeter,
) -> None:
    client = openai.OpenAI(api_key="k", http_client=Player([wire.chat()]).client())

    @quiet.metered(extract=lambda _: {"input_tokens": 999})  # pyright: ignore[reportUnknownLambdaType]
    def ask() -> Any:
        return client.chat.completions.create(**ASK)

    assert type(ask()) is ChatCompletion
    event = only(quiet)
    assert event.properties["input_tokens"] == 9
    assert "function" not in event.properties


def test_functions_around_one_that_was_recorded_record_nothing_more(quiet: TokenMeter) -> None:
    @quiet.metered(customer="acme")
    def inner() -> Any:
        return CHAT

    @quiet.metered
    def outer() -> Any:
        return inner()

    @quiet.metered
    def by_hand() -> str:
        quiet.record("world_generated", {"world_count": 1})
        return "done"

    outer()
    by_hand()
    assert [event.event_name for event in events_of(quiet)] == [
        "text_generated",
        "world_generated",
    ]
