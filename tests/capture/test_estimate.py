"""What an aborted stream did not report is estimated from the text that passed."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import only
from tokenmeter import Policy, TokenMeter
from tokenmeter.capture.estimate import ATTACHMENT_BYTES, DEPTH_MAX, PLACEHOLDER, estimated
from tokenmeter.providers.base import Reading
from tokenmeter.usage import Usage


def tokens_of(body: Any) -> Any:
    filled, changed = estimated(Reading(), body, 0)
    assert changed
    return filled.usage["input_tokens"]


@pytest.mark.parametrize(
    ("text_bytes", "tokens"), [(0, 0), (1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)]
)
def test_four_bytes_are_a_token_and_a_part_counts_whole(text_bytes: int, tokens: int) -> None:
    filled, _ = estimated(Reading(), {"prompt": "x" * text_bytes}, text_bytes)
    assert dict(filled.usage) == {"input_tokens": tokens, "output_tokens": tokens}
    assert filled.flags == {"estimated:input_tokens", "estimated:output_tokens"}


def test_reported_numbers_stay() -> None:
    whole = Reading(Usage(input_tokens=50, output_tokens=7, total_tokens=57))
    assert estimated(whole, {"prompt": "x" * 4_000}, 4_000) == (whole, False)
    zero = Reading(Usage(input_tokens=0, output_tokens=0))
    assert estimated(zero, {"prompt": "x" * 400}, 400) == (zero, False)


def test_of_images_that_came_the_text_says_nothing() -> None:
    drawn = Reading(Usage(image_count=1, total_tokens=9))
    cut, changed = estimated(drawn, {"prompt": "x" * 40}, 0)
    assert changed
    assert dict(cut.usage) == {"image_count": 1, "input_tokens": 10, "total_tokens": 9}
    blocked, _ = estimated(Reading(Usage(image_count=0)), {}, 40)
    assert blocked.usage["output_tokens"] == 10, "no image came, but a text"


def test_a_placeholder_is_raised_to_the_estimate_and_never_lowered() -> None:
    begun = Reading(Usage(input_tokens=10, output_tokens=3, total_tokens=13))
    begun = begun | Reading(flags=frozenset({PLACEHOLDER}))
    more, changed = estimated(begun, {}, 40)
    assert changed
    assert dict(more.usage) == {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
    less, _ = estimated(begun, {}, 4)
    assert less.usage["output_tokens"] == 3
    assert PLACEHOLDER not in less.flags


def test_the_prompt_is_all_text_of_the_request_and_no_attachment() -> None:
    assert tokens_of({"messages": [{"content": "x" * 40}], "input": "y" * 40}) == 20
    assert tokens_of({"messages": [{"content": [{"text": "x" * 40}, {"n": 5, "b": None}]}]}) == 10
    assert tokens_of({"model": "x" * 400, "metadata": {"a": "x" * 400}}) == 0
    assert tokens_of({"input": "A" * (ATTACHMENT_BYTES + 1)}) == 0, "a file has no spaces"
    assert tokens_of({"input": "A" * ATTACHMENT_BYTES}) == ATTACHMENT_BYTES // 4
    assert tokens_of({"input": "a " * ATTACHMENT_BYTES}) == ATTACHMENT_BYTES // 2
    assert tokens_of({"input": "data:image/png;base64,AAAA BBBB"}) == 0
    assert tokens_of({"input": "\ud800" * 4}) == 1, "half a character counts as one byte"


def test_of_a_request_that_could_not_be_read_nothing_is_estimated() -> None:
    filled, changed = estimated(Reading(Usage(total_tokens=3)), {}, 40)
    assert changed
    assert dict(filled.usage) == {"output_tokens": 10, "total_tokens": 3}


def test_a_request_nested_without_end_is_looked_at_to_a_depth() -> None:
    body: Any = "x" * 40
    for _ in range(DEPTH_MAX):
        body = [body]
    assert tokens_of({"input": body}) == 10
    assert tokens_of({"input": [body]}) == 0


@pytest.mark.parametrize("kept", range(1, 7))
def test_the_output_of_an_aborted_stream_is_near_the_text_that_passed(
    meter: TokenMeter, kept: int
) -> None:
    answer = wire.chat_stream()
    http = Player([Answer(200, answer.headers, answer.chunks[:kept])]).client()
    client = openai.OpenAI(api_key="k", http_client=http)
    messages: Any = [{"role": "user", "content": "x" * 400}]
    stream = client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    for _ in range(kept):
        next(stream)
    stream.close()
    found = only(meter).properties
    passed = len("".join(wire.WORDS[:kept]))
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")
    assert 100 <= found["input_tokens"] <= 102  # type: ignore[operator]
    assert abs(found["output_tokens"] - passed / 4) <= 1  # type: ignore[operator]


def test_nothing_is_estimated_if_the_policy_says_partial() -> None:
    meter = TokenMeter("memory:", policy=Policy(on_abort="partial"))
    meter.instrument()
    http = Player([wire.chat_stream()]).client()
    client = openai.OpenAI(api_key="k", http_client=http)
    client.chat.completions.create(model="gpt-4o", messages=[], stream=True).close()
    found = only(meter).properties
    assert found["usage_source"] == "missing"
    assert "output_tokens" not in found
    meter.shutdown()
