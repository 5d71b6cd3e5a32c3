"""A catalog is one file: complete, and each mistake has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenmeter.engine.catalog_file import BUNDLED, CatalogFile, load
from tokenmeter.errors import ConfigurationError

STUDIO = {
    "dalle2_1024": "0.02",
    "dalle3_1024_std": "0.04",
    "dalle3_1024_hd": "0.08",
    "gpt_image_input_tokens": "0.00001",
    "gpt_image_output_tokens": "0.00004",
    "veo_3_1_lite_1080p_sec": "0.08",
    "veo_3_1_4k_sec": "0.6",
    "kling_v2_5_turbo_std_sec": "0.05",
    "kling_omni_pro_sec": "0.12",
    "seedance_1_5_pro_tokens": "0.0000012",
    "seedance_1_5_pro_tokens_audio": "0.0000024",
    "happyhorse_std_job": "1.8",
    "happyhorse_pro_job": "2.4",
}
METERS = (
    "image_count input_tokens output_tokens video_seconds video_tokens video_jobs world_count "
    "request_count"
)
MINIMAL = """\
meters:
  images:
    event_name: image_generated
    aggregation: {type: SUM, field: image_count}
features:
  pictures: {meter: images}
plans:
  pro:
    prices:
      square: {meter: images, amount: 0.02, filter_values: {size: square}}
      wide: {meter: images, amount: 0.03, filter_values: {size: wide}}
"""


def read(tmp_path: Path, text: str) -> CatalogFile:
    path = tmp_path / "catalog.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_the_studio_catalog_holds_the_users_own_case() -> None:
    studio = load("studio")
    assert {e.key: e.fields["amount"] for e in studio.of("price")} == STUDIO
    assert [e.key for e in studio.of("meter")] == METERS.split()
    assert [e.key for e in studio.of("plan")] == ["ai_pro"]
    assert all(e.fields["filter_values"] for e in studio.of("price"))
    (unit,) = studio.of("price_unit")
    assert (unit.key, unit.fields["base_currency"], unit.fields["conversion_rate"]) == (
        *("CREDIT", "usd"),
        "0.01",
    )


def test_the_llm_catalog_sells_each_model_above_what_its_cost_sheet_says() -> None:
    llm = load("llm")
    amounts = {e.key: e.fields["amount"] for e in llm.of("price")}
    sold = [key for key in amounts if not key.endswith("_cost")]
    assert len(sold) == 36
    for key in sold:
        assert float(amounts[key]) == pytest.approx(float(amounts[f"{key}_cost"]) * 1.2)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_catalog_is_read(name: str) -> None:
    assert load(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("image_generated", "''", 3, "here belongs a text"),
        ("type: SUM", "type: TOTAL", 4, "not an aggregation type"),
        (", field: image_count", "", 4, "needs a field"),
        ("{meter: images}", "{meter: pictures}", 6, "no meter 'pictures'"),
        ("meter: images, amount: 0.02,", "amount: 0.02,", 10, "needs a meter"),
        ("meter: images, amount: 0.02,", "meter: images,", 10, "amount is missing"),
        ("amount: 0.02", "amount: -1", 10, "not between 0"),
        ("amount: 0.02", "amount: two", 10, "is no number"),
        ("amount: 0.02", "amont: 0.02", 10, "'amont' is no key here"),
        ("size: wide", "size: square", 11, "same number of filter keys"),
        ("amount: 0.03", "billing_model: TIERED", 11, "needs tier_mode"),
        (
            "amount: 0.03",
            "billing_model: TIERED, tier_mode: SLAB",
            11,
            "needs 1 to 1000 tiers",
        ),
        (
            "amount: 0.03",
            (
                "billing_model: TIERED, tier_mode: SLAB, tiers: [{up_to: 9, unit_amount: 1}, "
                "{up_to: 5, unit_amount: 1}, {unit_amount: 1}]"
            ),
            11,
            "Tier 2 must end above 9",
        ),
        ("amount: 0.03", "amount: 0.03, currency: euro", 11, "three letters"),
        ("amount: 0.03", "amount: 0.03, invoice_cadence: ADVANCE", 11, "invoiced in ARREAR"),
        (
            "amount: 0.03",
            "price_unit_config: {price_unit: CREDIT, amount: 3}",
            11,
            "no price unit 'CREDIT'",
        ),
        ("features:", "planes:", 5, "'planes' is no key here"),
        ("      wide:", "      square:", 11, "twice"),
    ],
)
def test_a_mistake_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert MINIMAL.count(old) >= 1
    with pytest.raises(ConfigurationError) as refused:
        read(
            tmp_path,
            MINIMAL.replace(old, new, 1) if old != "size: wide" else MINIMAL.replace(old, new),
        )
    assert f"catalog.yaml, line {line}: " in str(refused.value)
    assert said in str(refused.value)


def test_a_price_in_a_unit_of_another_currency_is_refused(tmp_path: Path) -> None:
    unit = "price_units: {CR: {symbol: c, base_currency: eur, conversion_rate: 0.1}}\n"
    price = MINIMAL.replace("amount: 0.03", "price_unit_config: {price_unit: CR, amount: 3}")
    with pytest.raises(ConfigurationError, match="line 12: The price is in USD, its price unit"):
        read(tmp_path, unit + price)


def test_parts_of_a_plan_are_read(tmp_path: Path) -> None:
    more = (
        "    entitlements:\n      pictures: {usage_limit: 100, usage_reset_period: MONTHLY}\n"
        "    credit_grants:\n      welcome: {credits: 500, expiration_type: DURATION, "
        "expiration_duration: 30, expiration_duration_unit: DAY}\n"
    )
    catalog = read(tmp_path, MINIMAL + more)
    (limit,) = catalog.of("entitlement")
    (grant,) = catalog.of("credit_grant")
    assert (limit.key, limit.fields["usage_limit"]) == ("pro/pictures", "100")
    assert (grant.key, grant.fields["credits"], grant.fields["scope"]) == (
        *("pro/welcome", "500"),
        "PLAN",
    )
    with pytest.raises(ConfigurationError, match=r"line 13: .*unsupported entitlement"):
        read(tmp_path, MINIMAL + more.replace("MONTHLY", "SOMETIMES"))
    with pytest.raises(ConfigurationError, match="line 15: Credits must be above 0"):
        read(tmp_path, MINIMAL + more.replace("500", "0"))


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        read(tmp_path, "")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "none.yaml")
