"""Prices that are to begin: each from its own day on, and none that was taken back before it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.engine.shop import AUGUST, CATALOG, JULY, JUNE, Shop, lines, opened_shop
from tokenmeter.engine.catalog_file import load

IMAGE = "image: {meter: images, amount: 0.10}"


def later(amount: str) -> str:
    """The catalog with a price of images that is to begin in July."""
    return CATALOG.replace(IMAGE, IMAGE.replace("0.10}", f"{amount}, start_date: 2026-07-01}}"))


def opened(folder: Path, text: str = CATALOG) -> tuple[Shop, str]:
    """A shop in the middle of June, and who uses ten images in June and ten in July."""
    shop = opened_shop(folder, text)
    subscription = shop.subscribe()
    shop.use("e1", JUNE + timedelta(days=20), image_count=10)
    shop.use("e2", JULY + timedelta(days=1), image_count=10)
    return shop, subscription


def write(shop: Shop, folder: Path, text: str, *, prune: bool = False) -> None:
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    shop.services.catalog.apply(load(path), prune=prune)
    assert shop.services.catalog.plan(load(path), prune=prune) == []


def totals(shop: Shop, subscription: str) -> list[str]:
    """What June and July cost."""
    months = ((JUNE, JULY), (JULY, AUGUST))
    return [str(shop.preview(subscription, *month)["total"]) for month in months]


def test_a_price_that_a_catalog_changes_begins_on_its_day_and_not_before(tmp_path: Path) -> None:
    shop, subscription = opened(tmp_path)
    write(shop, tmp_path, later("0.20"))
    assert totals(shop, subscription) == ["1.00", "2.00"]


def test_a_price_of_a_catalog_that_is_to_begin_is_changed_before_it_does(tmp_path: Path) -> None:
    shop, subscription = opened(tmp_path, later("0.10"))
    write(shop, tmp_path, later("0.20"))
    write(shop, tmp_path, later("0.30"))
    assert totals(shop, subscription) == ["0.00", "3.00"]
    assert totals(shop, shop.subscribe()) == ["0.00", "3.00"]


def test_a_price_that_is_pruned_before_it_begins_bills_nothing(tmp_path: Path) -> None:
    shop, subscription = opened(tmp_path, later("0.10"))
    write(shop, tmp_path, CATALOG.replace(f"      {IMAGE}\n", ""), prune=True)
    assert totals(shop, subscription) == ["0.00", "0.00"]
    own = {"type": "USAGE", "billing_model": "FLAT_FEE", "amount": "1", "currency": "usd"}
    own |= {"billing_period": "MONTHLY", "invoice_cadence": "ARREAR", "entity_type": "PLAN"}
    shop.services.definitions.create(
        "price", {**own, "entity_id": "metered", "meter_id": "images"}
    )


@pytest.mark.parametrize("amount", [None, "0.30"])
def test_a_version_that_is_taken_back_before_it_begins_bills_nothing(
    tmp_path: Path, amount: str | None
) -> None:
    shop, subscription = opened(tmp_path)
    definitions = shop.services.definitions
    first = definitions.by_key("price", "image")["id"]
    version = {"amount": "0.20", "effective_from": JULY}
    second = definitions.update("price", first, version)["id"]
    if amount is None:
        definitions.delete("price", second, {"end_date": JULY})
    else:
        definitions.update("price", second, {"amount": amount, "effective_from": JULY})
    assert totals(shop, subscription) == ["1.00", "0.00" if amount is None else "3.00"]
    assert definitions.get("price", second)["status"] == "archived"


def test_a_later_version_of_a_catalogs_price_keeps_its_name_on_invoices(tmp_path: Path) -> None:
    shop = opened_shop(tmp_path)
    for name in ("seats", "image_in_hybrid"):
        held = shop.services.definitions.by_key("price", name)["id"]
        shop.services.definitions.update("price", held, {"amount": "7", "effective_from": JULY})
    shop.clock.now = JULY
    subscription = shop.subscribe("hybrid", start_date=JULY)
    shop.use("e1", JULY, image_count=11)
    told = lines(shop.preview(subscription, JULY, AUGUST))
    assert told == {"seats": "14.00", "image_in_hybrid": "7.00", "base": "30.00"}


def test_what_is_included_is_shared_in_the_order_of_the_plan_though_a_price_changes(
    tmp_path: Path,
) -> None:
    """The first price of the plan has it first: 10 of 8 and 8 images."""
    more = "      hd: {meter: images, amount: 1, filter_values: {quality: hd}}\n    entitlements:"
    shop = opened_shop(tmp_path, CATALOG.replace("    entitlements:", more))
    held = shop.services.definitions.by_key("price", "image_in_hybrid")["id"]
    shop.services.definitions.update("price", held, {"amount": "0.3", "effective_from": JUNE})
    subscription = shop.subscribe("hybrid")
    shop.use("e1", JUNE, image_count=8)
    shop.use("e2", JUNE, image_count=8, quality="hd")
    told = lines(shop.preview(subscription, JUNE, JULY))
    assert told == {"seats": "20.00", "hd": "6.00", "base": "30.00"}
