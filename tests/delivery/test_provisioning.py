"""A catalog into an account: shown first, done once, and billed there as it is billed here."""

from __future__ import annotations

import random
from collections.abc import Generator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.delivery.cloud import KEY, Cloud, serving
from tests.delivery.strict_cloud import StrictCloud
from tests.engine.shop import JULY, JUNE, opened_shop
from tests.server.running import running
from tokenmeter.cli import app
from tokenmeter.delivery.backends.flexprice import FlexpriceBackend
from tokenmeter.engine.catalog import apply, plan
from tokenmeter.engine.catalog_file import CatalogFile, load
from tokenmeter.engine.cloud_catalog import for_cloud
from tokenmeter.engine.cloud_target import CloudTarget
from tokenmeter.engine.ingest import ingest
from tokenmeter.event import Event, Property
from tokenmeter.providers.models import model_type

Account = tuple[StrictCloud, Cloud]

SHOP = """\
price_units:
  CREDIT: {name: Credit, symbol: cr, conversion_rate: 0.01}
  CREDITS: {name: Credits, symbol: crs, conversion_rate: 0.001}
meters:
  images: {event_name: image_generated, aggregation: {type: SUM, field: image_count}}
  tokens: {event_name: text_generated, aggregation: {type: SUM, field: output_tokens}}
  requests: {event_name: text_generated, aggregation: {type: COUNT}}
features:
  images: {meter: images}
  requests: {meter: requests, unit_singular: request, unit_plural: requests}
plans:
  pro:
    prices:
      base: {type: FIXED, amount: 20, invoice_cadence: ADVANCE}
      image_std: {meter: images, amount: 0.05, filter_values: {quality: [standard, low]}}
      image_hd:
        meter: images
        filter_values: {quality: hd}
        price_unit_config: {price_unit: CREDIT, amount: 15}
      image_4k:
        meter: images
        filter_values: {quality: 4k}
        price_unit_config: {price_unit: CREDITS, amount: 250}
      four_o:
        meter: tokens
        amount: 0.00001
        filter_values: {model: [gpt-4o, gpt-4o-mini]}
      rest_of_mini:
        meter: tokens
        billing_model: TIERED
        tier_mode: SLAB
        tiers: [{up_to: 1000, unit_amount: 0.01}, {unit_amount: 0.002, flat_amount: 1}]
        filter_values: {model: gpt-5-mini}
      request:
        meter: requests
        billing_model: PACKAGE
        amount: 2
        transform_quantity: {divide_by: 100, round: up}
    entitlements:
      requests: {usage_limit: 30}
    credit_grants:
      monthly: {credits: 500, cadence: RECURRING, period: MONTHLY, expiration_type: BILLING_CYCLE}
"""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Generator[Account]:
    monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", KEY)
    strict = StrictCloud()
    with serving(strict.behave) as cloud:
        yield strict, cloud


def catalog(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["catalog", *arguments])
    assert result.exit_code == exit_code, result.output
    return result.output


def written(folder: Path, text: str, name: str = "shop.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_plan_shows_everything_and_changes_nothing(account: Account) -> None:
    strict, cloud = account
    shown = catalog("plan", "studio", "--to", cloud.url)
    assert "+ plan ai_pro" in shown
    assert "+ price dalle3_1024_hd" in shown
    assert "+ meter image_count model_type=dall-e-3 quality=hd size=1024x1024" in shown
    assert "CREDIT: its code there is CRE" in shown
    assert strict.changes == 0


@pytest.mark.parametrize("name", ["studio", "llm"])
def test_applying_twice_changes_nothing_the_second_time(account: Account, name: str) -> None:
    strict, cloud = account
    catalog("apply", name, "--to", cloud.url)
    before = strict.changes
    assert before > 10
    assert "no changes" in catalog("apply", name, "--to", cloud.url)
    assert strict.changes == before


def test_prices_are_created_in_bulk_a_hundred_at_a_time(account: Account, tmp_path: Path) -> None:
    _, cloud = account
    rows = "".join(
        f"      p{n}: {{meter: tokens, amount: 1, filter_values: {{model: m{n}}}}}\n"
        for n in range(201)
    )
    text = f"{SHOP.partition('plans:')[0]}plans:\n  many:\n    prices:\n{rows}"
    catalog("apply", written(tmp_path, text), "--to", cloud.url)
    paths = [r.path for r in cloud.requests if r.method == "POST" and "/prices" in r.path]
    assert paths.count("/v1/prices/bulk") == 3
    assert "/v1/prices" not in paths


def test_what_was_begun_and_broken_off_is_finished(account: Account) -> None:
    strict, cloud = account
    left = [12]

    def breaking(request: Any) -> Any:
        left[0] -= request.method == "POST" and "search" not in request.path
        return strict.behave(request) if left[0] > 0 else strict.behave(_without_key(request))

    cloud.behave = breaking
    catalog("apply", "studio", "--to", cloud.url, exit_code=2)
    assert strict.changes > 0
    cloud.behave = strict.behave
    catalog("apply", "studio", "--to", cloud.url)
    assert "no changes" in catalog("plan", "studio", "--to", cloud.url)


def _without_key(request: Any) -> Any:
    return type(request)(request.path, {}, request.body, request.events, request.method)


def test_a_changed_amount_is_an_update_and_only_prune_archives(
    account: Account, tmp_path: Path
) -> None:
    strict, cloud = account
    catalog("apply", written(tmp_path, SHOP), "--to", cloud.url)
    changed = SHOP.replace("amount: 0.05", "amount: 0.06").replace(
        "      base: {type: FIXED, amount: 20, invoice_cadence: ADVANCE}\n", ""
    )
    file = written(tmp_path, changed)
    shown = catalog("apply", file, "--to", cloud.url)
    assert "amount: 0.05 -> 0.06" in shown
    assert "base" not in shown
    assert "base" in {p["lookup_key"] for p in strict.of("price")}
    assert "- price base" in catalog("apply", file, "--to", cloud.url, "--prune")
    assert "base" not in {p["lookup_key"] for p in strict.of("price")}


def test_an_account_is_read_back_into_a_file_that_says_the_same(
    account: Account, tmp_path: Path
) -> None:
    _, cloud = account
    catalog("apply", written(tmp_path, SHOP), "--to", cloud.url)
    file = written(tmp_path, catalog("export", "--from", cloud.url), "back.yaml")
    assert "no changes" in catalog("plan", file, "--to", cloud.url)
    assert {e.key for e in load(file).of("price")} > {"image_hd", "image_std", "four_o"}


def test_what_the_cloud_cannot_say_is_left_out_and_named(account: Account, tmp_path: Path) -> None:
    strict, cloud = account
    text = SHOP.replace(
        "      image_std:", "      image: {meter: images, amount: 0.01}\n      image_std:"
    ).replace("requests: {usage_limit: 30}", "images: {usage_limit: 10}")
    shown = catalog("apply", written(tmp_path, text), "--to", cloud.url, exit_code=1)
    assert "left out: price image: " in shown
    assert "left out: entitlement pro/images: " in shown
    assert "image" not in {p["lookup_key"] for p in strict.of("price")}
    assert "no changes" in catalog("plan", written(tmp_path, text), "--to", cloud.url, exit_code=1)


def test_words_that_are_ours_alone_reach_the_cloud_in_its_own(
    account: Account, tmp_path: Path
) -> None:
    """It answers 400 to UNIQUE_COUNT, and to Periodic in a feature."""
    strict, cloud = account
    text = SHOP.replace(
        "{type: COUNT}}", "{type: unique_count, field: user}, reset_usage: Periodic}"
    )
    catalog("apply", written(tmp_path, text), "--to", cloud.url)
    (meter,) = [m for m in strict.of("meter") if m["name"] == "requests"]
    assert (meter["aggregation"]["type"], meter["reset_usage"]) == (
        "COUNT_UNIQUE",
        "BILLING_PERIOD",
    )
    assert "no changes" in catalog("plan", written(tmp_path, text), "--to", cloud.url)


def test_a_refused_key_is_one_sentence(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    _, cloud = account
    monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", "sk_wrong")
    shown = catalog("plan", "studio", "--to", cloud.url, exit_code=2)
    assert "401" in shown
    assert "sk_wrong" not in shown


MODELS = [
    *("dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1.5", "veo-3.1-lite", "veo-3.1"),
    *("veo-3.1-lite-generate-preview", "kling-v2-5-turbo", "seedance-1-5-pro-251215"),
]
TEXT_MODELS = [
    *("gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4o-mini", "gpt-5-mini"),
]


def events(seed: int, count: int = 600) -> list[Event]:
    """Events as we capture them, of many kinds; some of them are billed by no price."""
    dice = random.Random(seed)

    def one(number: int) -> Event:
        name = dice.choice(["image", "video", "world", "text"])
        model = dice.choice(TEXT_MODELS if name == "text" else MODELS)
        properties: dict[str, Property] = {
            "model": model,
            "model_type": model_type(model),
            "provider": dice.choice(["openai", "alibaba", "happyhorse"]),
            "size": dice.choice(["1024x1024", "512x512"]),
            "quality": dice.choice(["standard", "hd", "low", "4k"]),
            "resolution": dice.choice(["720p", "1080p", "4k"]),
            "mode": dice.choice(["std", "pro"]),
            "input_type": dice.choice(["text", "image"]),
            "generate_audio": dice.choice(["true", "false"]),
            "image_count": dice.randrange(1, 4),
            "input_tokens": dice.randrange(1, 3_000_000),
            "output_tokens": dice.randrange(1, 5_000),
            "video_seconds": Decimal(dice.randrange(1, 80)) / 4,
            "video_tokens": dice.randrange(1, 1_500_000),
            "video_jobs": 1,
            "world_count": 1,
            "billable": dice.choice(["true", "true", "true", "false"]),
        }
        at = JUNE + timedelta(seconds=number)
        return Event(f"{name}_generated", f"evt_{number}", "acme", at, properties)

    return [one(number) for number in range(count)]


def test_the_invoice_of_the_cloud_is_ours_to_the_cent(account: Account, tmp_path: Path) -> None:
    check_same_invoice(account, tmp_path, Path(written(tmp_path, SHOP)), "pro")


def test_the_studios_invoice_of_the_cloud_is_ours_to_the_cent(
    account: Account, tmp_path: Path
) -> None:
    check_same_invoice(account, tmp_path, "studio", "ai_pro")


def check_same_invoice(account: Account, folder: Path, source: str | Path, plan_key: str) -> None:
    strict, cloud = account
    catalog("apply", str(source), "--to", cloud.url)
    sent = events(5)
    backend = FlexpriceBackend(cloud.url)
    cloud.clients.append(backend)
    for _ in range(2):  # the second time nothing is counted again
        assert backend.send(sent).rejected == ()
    ours = _our_invoice(folder, load(source), plan_key, sent)
    assert strict.invoice("acme", plan_key) == ours
    assert sum(amount > 0 for amount in ours.values()) > 5


def test_canonical_and_dated_models_are_two_lines_that_add_up_to_ours(
    account: Account, tmp_path: Path
) -> None:
    strict, cloud = account
    text = SHOP.replace("[gpt-4o, gpt-4o-mini]", "[gpt-4o, gpt-4o-mini-2024-07-18]")
    shown = catalog("apply", written(tmp_path, text), "--to", cloud.url)
    assert "note: price four_o: " in shown
    sent = events(7)
    backend = FlexpriceBackend(cloud.url)
    cloud.clients.append(backend)
    backend.send(sent)
    lines = strict.invoice("acme", "pro")
    ours = _our_invoice(tmp_path, load(tmp_path / "shop.yaml"), "pro", sent)
    assert abs(lines["four_o"] + lines["four_o_2"] - ours["four_o"]) <= Decimal("0.01")
    assert lines["four_o"] > 0 < lines["four_o_2"]


def _our_invoice(
    folder: Path, source: CatalogFile, plan_key: str, sent: list[Event]
) -> dict[str, Decimal]:
    shop = opened_shop(folder, "plans: {other: {name: Other}}\n")
    shop.services.catalog.apply(source)
    ingest(shop.store, sent)
    subscription = shop.subscribe(plan_key)
    told = shop.preview(subscription, JUNE, JULY)
    return {
        line["display_name"]: Decimal(line["amount"])
        for line in told["line_items"]
        if line["price_type"] == "USAGE"
    }


@pytest.mark.parametrize("name", ["studio", "llm"])
def test_the_round_trip_against_our_own_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with running(f"sqlite:///{tmp_path}/served.db") as server:
        monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", server.key)
        url = f"flexprice+{server.origin}/v1"
        catalog("apply", name, "--to", url)
        assert "no changes" in catalog("apply", name, "--to", url)
        file = written(tmp_path, catalog("export", "--from", url), "back.yaml")
        assert "no changes" in catalog("plan", file, "--to", url)


def test_a_target_can_be_used_from_python(account: Account) -> None:
    strict, cloud = account
    target = CloudTarget(cloud.url)
    expanded = for_cloud(load("studio"))
    assert expanded.left_out == []
    apply(plan(expanded.catalog, target), target)
    target.finish()
    assert plan(expanded.catalog, target) == []
    target.close()
    assert len(strict.of("price")) == len(expanded.catalog.of("price"))
