"""A meter's previews: history from its store, whose call it is, requests of a gateway."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import pytest

import tokenmeter
from tests.capture.play import Answer, Player
from tokenmeter import Money, TokenMeter, previews
from tokenmeter.capture.previewed import PREVIEWED_MAX
from tokenmeter.event import PREVIEWED
from tokenmeter.previews import HttpRequest

CHAT = {"provider": "openai", "model": "gpt-4o"}
URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    meter = TokenMeter(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path / "state")
    yield meter
    meter.shutdown()


def spend(meter: TokenMeter, tokens: int, **more: str) -> None:
    facts: dict[str, Any] = {
        "request_model": "gpt-4o",
        "outcome": "success",
        **CHAT,
        **more,
    }
    meter.record("text_generated", {"input_tokens": 10, "output_tokens": tokens}, **facts)


def request(body: dict[str, Any] | bytes, url: str = URL) -> HttpRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpRequest("POST", url, {"content-type": "application/json"}, data)


ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


def test_the_store_teaches_what_a_feature_uses(stored: TokenMeter) -> None:
    for tokens in (100, 200, 300):
        spend(stored, tokens, feature="chat")
    spend(stored, 9_000, feature="essay")
    spend(stored, 7_000, feature="chat", outcome="failed")
    stored.flush(30)
    found = stored.preview(**CHAT, prompt="Hello", feature="chat")
    assert found.usage.output_tokens == 200
    assert "history of 3" in found.basis
    assert "history" not in stored.preview(**CHAT, prompt="Hello", feature="essay").basis
    assert stored.preview(**CHAT, prompt="Hello").usage.output_tokens == 250


def test_what_was_learned_is_kept_for_a_minute(
    stored: TokenMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tokens in (100, 200, 300):
        spend(stored, tokens)
    stored.flush(30)
    assert stored.preview(**CHAT, prompt="Hi").usage.output_tokens == 200
    for _ in range(2):
        spend(stored, 900)
    stored.flush(30)
    assert stored.preview(**CHAT, prompt="Hi").usage.output_tokens == 200
    monkeypatch.setattr(previews, "HISTORY_S", 0.0)
    assert stored.preview(**CHAT, prompt="Hi").usage.output_tokens == 300


def test_old_calls_teach_nothing(stored: TokenMeter) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=previews.HISTORY_DAYS + 1)
    facts = {"request_model": "gpt-4o", "outcome": "success", **CHAT}
    for tokens in (100, 200, 300):
        usage = {"output_tokens": tokens}
        stored.record("text_generated", usage, timestamp=long_ago, **facts)
    stored.flush(30)
    assert "history" not in stored.preview(**CHAT, prompt="Hi").basis


def test_histories_are_bounded(stored: TokenMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "HISTORIES_MAX", 2)
    for number in range(5):
        stored.preview(**CHAT, prompt="Hi", feature=f"f{number}")
    assert len(vars(stored)["_previews"]._histories) <= 2


def test_a_request_of_a_gateway_is_quoted_like_the_call(meter: TokenMeter) -> None:
    found = meter.preview_request(request(ASK), customer="cust_1", feature="chat")
    assert found is not None
    assert found.customer == "cust_1"
    assert found.usage == {"input_tokens": 8, "output_tokens": 100}
    assert found.high == Money(Decimal("0.00102"))
    parsed = HttpRequest("POST", URL, {}, ASK)
    assert meter.preview_request(parsed, customer="cust_1", feature="chat") == found


def test_a_request_under_a_foreign_host_is_known_by_its_path(meter: TokenMeter) -> None:
    found = meter.preview_request(request(ASK, "https://u:p@llm.example:8443/v1/chat/completions"))
    assert found is not None
    assert found.provider == "llm.example"
    assert found.cost is None
    assert found.notes


def test_a_named_host_is_its_provider(tmp_path: Path) -> None:
    meter = TokenMeter("memory:", hosts={"llm.internal:8000": "openai"})
    found = meter.preview_request(request(ASK, "http://llm.internal:8000/v1/chat/completions"))
    meter.shutdown()
    assert found is not None
    assert found.provider == "openai"
    assert found.cost is not None


@pytest.mark.parametrize(
    "asked",
    [
        HttpRequest("GET", "https://example.com/", {}),
        HttpRequest("GET", "https://api.openai.com/v1/models", {}),
        HttpRequest("POST", "", {}),
        HttpRequest("POST", "not a url", {}),
    ],
)
def test_what_is_no_metered_call_has_no_quote(meter: TokenMeter, asked: HttpRequest) -> None:
    assert meter.preview_request(asked) is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b'{"messages": 5, "max_tokens": "NaN", "n": {}}']
)
def test_an_odd_body_is_quoted_as_far_as_it_goes(meter: TokenMeter, body: bytes) -> None:
    found = meter.preview_request(request(body))
    assert found is not None
    assert found.cost is None


def test_a_form_is_read_without_its_files(meter: TokenMeter) -> None:
    parts = {"model": "gpt-image-1", "size": "1024x1024", "quality": "low", "n": "2"}
    form = "".join(
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    )
    url = "https://api.openai.com/v1/images/edits"
    headers = {"content-type": "multipart/form-data; boundary=B"}
    found = meter.preview_request(HttpRequest("POST", url, headers, f"{form}--B--".encode()))
    assert found is not None
    assert found.usage.output_image_tokens == 2 * 272


def test_the_scope_says_whose_preview_it_is(meter: TokenMeter) -> None:
    with meter.attribute(customer="around", feature="chat"):
        assert meter.preview(**CHAT, n=1, prompt="Hi").customer == "around"
        assert meter.preview(**CHAT, prompt="Hi", customer="named").customer == "named"
    with meter.run(), meter.attribute(customer="inside"):
        assert tokenmeter.preview(**CHAT, prompt="Hi").customer == "inside"


def test_true_and_one_are_not_the_same_parameter(meter: TokenMeter) -> None:
    asked = {"provider": "google-vertex", "model": "veo-3.1-generate-001"}
    assert meter.preview(**asked, generate_audio=True).expected == Money(Decimal("3.2"))
    assert meter.preview(**asked, generate_audio=False).expected == Money(Decimal("1.6"))
    with pytest.raises(tokenmeter.PreviewError):
        meter.preview(**asked, n=True)
    assert meter.preview(**asked, n=1).expected == Money(Decimal("3.2"))


def test_prompts_are_not_kept(meter: TokenMeter) -> None:
    meter.preview(**CHAT, prompt="a secret " * 100)
    meter.preview(**CHAT, input_tokens=5)
    asked = vars(meter)["_previews"]._asked
    assert asked.cache_info().currsize == 1


def test_values_that_cannot_be_keys_are_read_all_the_same(meter: TokenMeter) -> None:
    found = meter.preview(**CHAT, input_tokens=5, metadata={"a": []})
    assert found.expected == Money(Decimal("0.0000125"))


@pytest.fixture
def selling(stored: TokenMeter) -> TokenMeter:
    """A meter with the studio's catalog and one subscriber."""
    stored.engine.catalog.apply("studio")
    stored.engine.definitions.create("customer", {"external_id": "acme", "name": "Acme"})
    stored.engine.subscriptions.create(
        {
            "external_customer_id": "acme",
            "plan_id": "ai_pro",
            "currency": "usd",
            "billing_period": "MONTHLY",
            "start_date": datetime.now(UTC) - timedelta(days=5),
        }
    )
    return stored


@pytest.mark.parametrize(
    "said",
    [
        {"provider": "openai", "model": "dall-e-3", "quality": "hd", "n": 2},
        {"provider": "openai", "model": "gpt-image-1", "quality": "high", "size": "1024x1024"},
        {"provider": "byteplus", "model": "seedance-1-5-pro-251215", "ratio": "16:9"},
        {"provider": "kling", "model": "kling-v2-5-turbo", "duration": 10},
        {"provider": "google-vertex", "model": "veo-3.1-lite-generate-001", "resolution": "1080p"},
    ],
)
def test_the_charge_is_what_the_catalog_takes_for_the_event(
    selling: TokenMeter, said: dict[str, Any]
) -> None:
    found = selling.preview(**said, customer="acme")
    assert found.charge is not None, found
    assert found.expected == found.charge.expected
    dimensions = {"size": "1024x1024", "resolution": "720p", "mode": "std", **said}
    dimensions |= {"generate_audio": "true", "input_type": "text", "quality": "standard"} | said
    facts: Any = {name: str(value) for name, value in dimensions.items() if name != "n"}
    kind = {"openai": "image_generated"}.get(said["provider"], "video_generated")
    event = selling.record(kind, found.usage.to_dict(), customer="acme", **facts)
    charged = selling.engine.charge(event)
    assert charged.amount is not None
    assert found.charge.expected == Money(charged.amount, charged.currency)


def test_who_has_no_subscription_is_quoted_the_cost(selling: TokenMeter) -> None:
    asked = {"provider": "openai", "model": "dall-e-3", "quality": "hd"}
    assert selling.preview(**asked, customer="stranger").charge is None
    assert selling.preview(**asked).charge is None
    assert selling.preview(**asked, customer="stranger").expected == Money(Decimal("0.08"))


CLAUDE: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Tell me about the weather in Oslo, please."}],
}


def claude(tokens: int) -> Any:
    usage = {"input_tokens": tokens, "output_tokens": 5}
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE["model"],
        "content": [{"type": "text", "text": "Rain."}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    told = {"content-type": "application/json"}
    return Answer(200, told, [json.dumps(answer).encode()])


def test_estimates_learn_from_the_calls_that_were_previewed(
    stored: TokenMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "HISTORY_S", 0.0)
    player = Player([claude(40), claude(40), claude(40), claude(40)])
    client = stored.wrap(anthropic.Anthropic(api_key="k", http_client=player.client()))
    ask: Any = partial(client.messages.create, **CLAUDE)
    first = stored.preview_call(ask)
    assert first.counted is not None
    assert first.counted < 20
    for _ in range(3):
        stored.preview_call(ask)
        ask()
    ask()  # not previewed
    stored.flush(30)
    assert not stored.known.previewed.tokens
    events = stored.engine.events().events
    shown = sorted(str(event.properties.get(PREVIEWED)) for event in events)
    assert shown == [*[str(first.counted)] * 3, "None"]
    learned = stored.preview_call(ask)
    assert learned.usage.input_tokens == 40
    assert learned.counted == first.counted
    assert "by history of 4" in learned.basis


@pytest.mark.parametrize(("options", "most"), [({"max_images": 4}, "0.12"), ({}, "0.45")])
def test_a_series_of_images_is_as_long_as_the_model_makes_it(
    stored: TokenMeter, options: dict[str, int], most: str
) -> None:
    series = {
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": options,
    }
    ark = "https://ark.ap-southeast.bytepluses.com/api/v3/images/generations"
    body = {"model": "seedream-4-0-250828", "prompt": "Four seasons"}
    quoted = stored.preview_request(request({**body, **series}, ark))
    assert quoted is not None
    assert (str(quoted.low), str(quoted.high)) == ("0.03 USD", f"{most} USD")
    assert not quoted.exact
    one = stored.preview_request(request(body, ark))
    assert one is not None
    assert (str(one.expected), one.exact) == ("0.03 USD", True)


def test_exact_counts_are_not_remembered_and_others_are_bounded(stored: TokenMeter) -> None:
    stored.preview_request(request(ASK))
    assert not stored.known.previewed.tokens
    for number in range(PREVIEWED_MAX + 3):
        stored.known.previewed.remember({"n": number}, number)
    assert len(stored.known.previewed.tokens) == PREVIEWED_MAX
    assert min(stored.known.previewed.tokens.values()) == 3
