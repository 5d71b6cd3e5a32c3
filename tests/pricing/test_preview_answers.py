"""What is quoted before a request is sent is what the event of its answer costs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.pricing.events import BOOK, NOON
from tests.providers.media import Json, Step, played, samples
from tests.providers.sample_steps import ARK, DASHSCOPE, OPENAI, PROVIDERS, VERTEX, steps
from tokenmeter import Money, Quote, TokenMeter
from tokenmeter.event import Event
from tokenmeter.previews import HttpRequest
from tokenmeter.pricing.asked import Asked
from tokenmeter.pricing.history import NO_HISTORY
from tokenmeter.pricing.keywords import asked_by_keywords
from tokenmeter.pricing.preview import Terms, quote

ROWS = samples(*PROVIDERS)


def quoted(step: Step) -> Quote | None:
    """Quote a request as a gateway does."""
    meter = TokenMeter("memory:")
    headers = {name.lower(): value for name, value in step.headers.items()}
    body = json.dumps(step.body or {}).encode()
    found = meter.preview_request(HttpRequest(step.method, step.url, headers, body))
    meter.shutdown()
    return found


def cost_of(event: Event) -> Decimal | None:
    """What the lists say; what the provider charges may be another thing."""
    facts = event.properties
    cost = facts.get("computed_cost_usd", facts.get("cost_usd"))
    return None if cost is None else Decimal(cost)


def ends(found: Quote) -> list[str] | None:
    cost = found.cost
    amounts = [] if cost is None else [cost.low, cost.expected, cost.high]
    return [f"{money.amount.normalize():f}" for money in amounts] or None


@pytest.mark.skipif(not ROWS, reason="no media samples")
@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in ROWS])
def test_an_exact_quote_is_the_cost_if_all_is_delivered(sample: Any) -> None:
    made = steps(sample)
    found = quoted(made[0])
    if found is None or not found.exact:
        pytest.skip("nothing exact is quoted")
    assert found.low == found.expected == found.high
    for event in played(*made).events:
        delivered = all(event.usage.get(metric) == n for metric, n in found.usage.items())
        if event.properties["outcome"] == "success" and delivered:
            assert found.expected is not None
            assert cost_of(event) == found.expected.amount, sample["id"]


DRAWN = {"created": 1_766_000_000, "data": [{"b64_json": "aGk="}]}
EDIT = {"model": "gpt-image-1.5", "prompt": "add a hat", "size": "1024x1024", "quality": "low"}


def edit(pictured: int, text: int, beside: int, **more: Any) -> Step:
    """An edit that reads so many tokens, and writes some beside its image of 272."""
    split = {"image_tokens": pictured, "text_tokens": text}
    wrote = {"image_tokens": 272, "text_tokens": beside}
    usage = {
        "input_tokens": pictured + text,
        "input_tokens_details": split,
        "output_tokens": 272 + beside,
        "output_tokens_details": wrote,
        "total_tokens": pictured + text + 272 + beside,
    }
    body = {**EDIT, **more}
    return Step("POST", f"{OPENAI}/images/edits", {**DRAWN, "usage": usage}, body)


@pytest.mark.parametrize(
    "step",
    [
        edit(194, 3, 0, image="<file>"),
        edit(323, 50, 100, image="<file>"),
        edit(452, 3, 999, image=["<file>"]),
        edit(4_354, 3, 0, image="<file>", input_fidelity="high"),
        edit(6_692, 3, 0, image="<file>", input_fidelity="high"),
        edit(2 * 194, 3, 300, image=["<file>", "<file>"]),
        edit(3 * 452, 3, 0, images=[{"image_url": "https://x/1.png"}] * 3),
    ],
)
def test_the_pictures_of_an_edit_are_in_its_quote(step: Step) -> None:
    found = quoted(step)
    assert found is not None
    assert found.cost is not None
    cost = cost_of(played(step).event)
    assert cost is not None
    assert found.cost.low.amount <= cost <= found.cost.high.amount
    assert not found.exact
    assert "pictures: by the family's rule of tiles" in found.basis
    assert "the sizes of the pictures to edit are not known" in found.notes


def test_pictures_of_high_fidelity_are_dearer_and_a_drawing_has_none() -> None:
    low, high = quoted(edit(1, 1, 0)), quoted(edit(1, 1, 0, input_fidelity="high"))
    drawn = quoted(Step("POST", f"{OPENAI}/images/generations", {}, EDIT))
    assert low is not None
    assert high is not None
    assert drawn is not None
    assert drawn.usage.input_image_tokens is None
    assert low.usage.input_image_tokens == 323
    assert high.usage.input_image_tokens == 4_483


@pytest.mark.parametrize(("thoughts", "said"), [(0, 0), (310, 0), (700, 300)])
def test_a_model_that_thinks_about_its_image_costs_no_more_than_the_high_end(
    thoughts: int, said: int
) -> None:
    parts = [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    usage = {
        "promptTokenCount": 3,
        "candidatesTokenCount": 1_120 + said,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": 1_123 + said + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_120}],
    }
    answer = {
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": usage,
    }
    body: Json = {"contents": [{"parts": [{"text": "a fox"}]}]}
    url = f"{VERTEX}/gemini-3-pro-image:generateContent"
    step = Step("POST", url, answer, body)
    found, cost = quoted(step), cost_of(played(step).event)
    assert found is not None
    assert found.cost is not None
    assert cost is not None
    assert found.cost.low.amount <= cost <= found.cost.high.amount
    assert "up to 1000 tokens of text or thoughts are assumed beside images" in found.notes


VIDEO = f"{DASHSCOPE}/services/aigc/video-generation/video-synthesis"
AS_A_JOB = {"X-DashScope-Async": "enable"}


def alibaba(model: str, seconds: int, given: Json, **parameters: Any) -> list[Step]:
    body = {"model": model, "input": {"prompt": "x", **given}, "parameters": parameters}
    task: Json = {"task_id": "t-1", "task_status": "SUCCEEDED", "video_url": "https://x/1.mp4"}
    usage = {"duration": seconds, "SR": 1080, "video_count": 1}
    return [
        Step(
            "POST",
            VIDEO,
            {"output": {"task_id": "t-1", "task_status": "PENDING"}},
            body,
            200,
            AS_A_JOB,
        ),
        Step("GET", f"{DASHSCOPE}/tasks/t-1", {"output": task, "usage": usage}),
    ]


@pytest.mark.parametrize(
    ("model", "seconds", "parameters", "amount"),
    [
        ("happyhorse-1.0-t2v", 5, {}, "1.2"),
        ("happyhorse-1.0-t2v", 10, {"duration": "10"}, "2.4"),
        ("happyhorse-1.1-i2v", 5, {"resolution": "1080P"}, "0.9"),
    ],
)
def test_a_video_of_alibabas_is_quoted_by_the_second(
    model: str, seconds: int, parameters: Json, amount: str
) -> None:
    made = alibaba(model, seconds, {}, **parameters)
    found = quoted(made[0])
    assert found is not None
    assert (ends(found), found.exact) == ([amount] * 3, True)
    assert cost_of(played(*made).event) == Decimal(amount)
    by_name = quote(asked_by_keywords("alibaba", model, parameters, BOOK.media), Terms(NOON), BOOK)
    assert (ends(by_name), by_name.exact) == ([amount] * 3, True)


@pytest.mark.parametrize("model", ["happyhorse-1.0-video-edit", "a-model-of-tomorrow"])
def test_what_has_no_length_is_not_quoted_by_a_price_per_job_that_is_for_any_model(
    model: str,
) -> None:
    given = {"media": [{"type": "video", "url": "https://x/0.mp4"}]}
    made = alibaba(model, 11, given)
    found, event = quoted(made[0]), played(*made).event
    assert found is not None
    assert (found.cost, found.exact) == (None, False)
    assert found.notes
    assert (cost_of(event) is None) is (model == "a-model-of-tomorrow")
    named = {"mode": "std"}
    said = quote(asked_by_keywords("alibaba", "happyhorse", named, BOOK.media), Terms(NOON), BOOK)
    assert (ends(said), said.exact) == (["1.8"] * 3, True)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("alibaba", "happyhorse-1.0-video-edit"),
        ("minimax", "MiniMax-H3"),
        ("runway", "seedance2_5"),
    ],
)
def test_a_video_that_is_given_and_billed_leaves_nothing_exact(provider: str, model: str) -> None:
    said: dict[str, Any] = {"duration": 5, "input_type": "video", "resolution": "1080p"}
    asked: Asked = asked_by_keywords(provider, model, said, BOOK.media)
    found = quote(asked, Terms(NOON), BOOK)
    assert not found.exact
    if found.cost is not None:
        assert "the seconds of the video that is given are billed too" in found.notes
        assert "exact" not in found.basis


@pytest.mark.parametrize("duration", [5, "5", 5.0, "5s"])
@pytest.mark.parametrize("audio", [True, False])
def test_seedance_is_quoted_alike_however_its_length_is_written(
    duration: object, audio: bool
) -> None:
    body = {
        "model": "seedance-1-5-pro-251215",
        "content": [{"type": "text", "text": "x"}],
        "duration": duration,
        "resolution": "720p",
        "ratio": "16:9",
        "generate_audio": audio,
    }
    found = quoted(Step("POST", f"{ARK}/contents/generations/tasks", {}, body))
    assert found is not None
    assert ends(found) == ["0.26136" if audio else "0.13068"] * 3


LONG = "The quick brown fox jumps. " * 400
CLAUDE = "https://api.anthropic.com/v1/messages"


def kept(control: Json | None, place: str = "system") -> Json:
    """A request to Claude that asks for its prompt to be kept, at one of the places for it."""
    block: Json = {"type": "text", "text": LONG}
    body: Json = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 10,
        "system": [block],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    places = {
        "system": block,
        "tools": body["tools"][0],
        "content": body["messages"][0]["content"][0],
        "body": body,
    }
    if control is not None:
        places[place]["cache_control"] = control
    return body


def billed(body: Json, read: float, ttl: str) -> Decimal:
    """What the answer costs if this part of the prompt was found, and the rest written."""
    plain = quoted(Step("POST", CLAUDE, {}, body))
    assert plain is not None
    given = int(plain.usage["input_tokens"])
    found = int(given * read)
    usage = {
        "input_tokens": 0,
        "cache_read_input_tokens": found,
        "cache_creation_input_tokens": given - found,
        "cache_creation": {
            "ephemeral_5m_input_tokens": given - found if ttl == "5m" else 0,
            "ephemeral_1h_input_tokens": given - found if ttl == "1h" else 0,
        },
        "output_tokens": 10,
    }
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "max_tokens",
        "usage": usage,
    }
    cost = cost_of(played(Step("POST", CLAUDE, answer, body)).event)
    assert cost is not None
    return cost


@pytest.mark.parametrize("place", ["system", "tools", "content", "body"])
@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_a_prompt_that_is_kept_costs_something_between_read_and_written(
    place: str, ttl: str
) -> None:
    body = kept({"type": "ephemeral", "ttl": ttl}, place)
    found = quoted(Step("POST", CLAUDE, {}, body))
    assert found is not None
    assert found.cost is not None
    for read in (0.0, 0.5, 1.0):
        assert found.cost.low.amount <= billed(body, read, ttl) <= found.cost.high.amount
    assert f"cache: all read, to all kept {ttl}" in found.basis
    assert found.usage.cache_read_tokens is None


def test_a_prompt_that_is_not_to_be_kept_is_quoted_as_ever() -> None:
    plain = quoted(Step("POST", CLAUDE, {}, kept(None)))
    asked = quoted(Step("POST", CLAUDE, {}, kept({"type": "ephemeral"})))
    assert plain is not None
    assert asked is not None
    assert plain.cost is not None
    assert asked.cost is not None
    assert "cache" not in plain.basis
    assert asked.cost.expected == plain.cost.expected
    assert asked.cost.low.amount < plain.cost.low.amount
    assert asked.cost.high.amount > plain.cost.high.amount


def test_a_catalog_is_asked_about_each_token_of_a_kept_prompt_once() -> None:
    asked: list[Event] = []

    def charger(event: Event) -> Money | None:
        asked.append(event)
        return Money(Decimal(1))

    body = kept({"type": "ephemeral"})
    said = {name: value for name, value in body.items() if name != "model"}
    call = asked_by_keywords("anthropic", "claude-sonnet-4-5", said, BOOK.media)
    quote(call, Terms(NOON, "cust_1", charger=charger), BOOK)
    cautious = NO_HISTORY.cautious(4_096)
    quote(call, Terms(NOON, "cust_1", cautious, charger=charger), BOOK)
    assert len(asked) == 7
    for event in asked:
        facts = event.usage
        parts = ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens")
        assert sum(facts.get(part, 0) for part in parts) == facts["input_tokens"]
    assert asked[0].usage["uncached_input_tokens"] == 0
    assert asked[2].usage["cache_write_tokens"] == asked[2].usage["input_tokens"]


@pytest.mark.parametrize("given", ["Hello there", [9906, 1070], [[9906], [1070]]])
def test_an_embedding_costs_what_was_quoted_exactly(given: object) -> None:
    answer = {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    body = {"model": "text-embedding-3-small", "input": given}
    step = Step("POST", f"{OPENAI}/embeddings", answer, body)
    found = quoted(step)
    assert found is not None
    assert found.exact
    assert found.expected is not None
    assert found.expected.amount == cost_of(played(step).event)


def test_an_image_that_a_tool_draws_is_said_to_be_billed_beside() -> None:
    body = {"model": "gpt-5", "input": "draw", "tools": [{"type": "image_generation"}]}
    found = quoted(Step("POST", f"{OPENAI}/responses", {}, body))
    assert found is not None
    assert "the images that image_generation makes are billed beside this call" in found.notes


def test_an_answer_that_may_be_spoken_is_quoted_at_the_price_of_sound() -> None:
    body: Json = {"model": "gpt-audio", "messages": [{"role": "user", "content": "Hi"}]}
    body |= {"max_completion_tokens": 1_000}
    url = f"{OPENAI}/chat/completions"
    written = quoted(Step("POST", url, {}, {**body, "modalities": ["text"]}))
    spoken = quoted(Step("POST", url, {}, {**body, "modalities": ["text", "audio"]}))
    assert written is not None
    assert spoken is not None
    prompt = Decimal("0.00002")  # 8 tokens of text, at $2.50 a million
    assert written.high == Money(Decimal("0.01") + prompt)  # 1,000 tokens at $10 a million
    assert spoken.high == Money(Decimal("0.064") + prompt)  # at $64
