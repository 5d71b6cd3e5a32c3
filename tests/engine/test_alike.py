"""The same usage is the same invoice to the last digit, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.engine.shop import AUGUST, CATALOG, JULY, JUNE, Shop, opened_shop
from tests.postgres import new_database
from tokenmeter.engine.invoice_text import invoice_bytes

if TYPE_CHECKING:
    import pytest

METERS = """\
meters:
  highest: {event_name: image_generated, aggregation: {type: MAX, field: width}}
  users: {event_name: image_generated, aggregation: {type: COUNT_UNIQUE, field: user}}
  peak: {event_name: image_generated, aggregation: {type: MAX, field: width, bucket_size: DAY}}
  mean: {event_name: text_generated, aggregation: {type: AVG, field: tokens}}
  area: {event_name: image_generated, aggregation: {type: SUM, expression: width * image_count}}
"""
PRICES = """\
    prices:
      per_width: {meter: highest, amount: 0.001}
      per_user: {meter: users, amount: 1.5}
      per_peak: {meter: peak, amount: 0.0001}
      per_mean: {meter: mean, amount: 0.003}
      per_area: {meter: area, amount: 0.0000017}
"""
SEED = 7


def wide() -> str:
    text = CATALOG.replace("meters:\n", METERS, 1)
    return text.replace("    prices:\n", PRICES, 1)


def use_much(shop: Shop, events: int) -> None:
    chance = random.Random(SEED)
    for number in range(events):
        at = JUNE + timedelta(minutes=chance.randrange(0, 60 * 24 * 60))
        if chance.random() < 0.5:
            shop.use(
                f"e{number}",
                at,
                image_count=chance.randrange(1, 9),
                width=chance.choice([512, 1024, 1536]),
                user=chance.choice("abcdef"),
                quality=chance.choice(["hd", "standard"]),
            )
        else:
            shop.use(f"e{number}", at, "text", tokens=chance.randrange(1, 400))


def without_ids(value: Any) -> Any:
    """Leave out what every database names on its own."""
    if isinstance(value, dict):
        return {k: without_ids(v) for k, v in value.items() if not k.endswith("id")}
    return [without_ids(v) for v in value] if isinstance(value, list) else value


def months(shop: Shop) -> list[bytes]:
    subscription = shop.subscribe(commitment_amount="40", overage_factor="1.5")
    use_much(shop, 120)
    told = [shop.preview(subscription, *span) for span in ((JUNE, JULY), (JULY, AUGUST))]
    shop.clock.now = AUGUST
    told += shop.bill(subscription)
    shop.store.close()
    return [invoice_bytes(without_ids(json.loads(json.dumps(t)))) for t in told]


def test_sqlite_and_postgresql_give_the_same_invoice(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    zone = "Asia/Kathmandu"  # 5 h 45 min east
    embedded = months(opened_shop(tmp_path, wide(), timezone=zone))
    server = new_database(request.getfixturevalue("postgres_server"))
    assert months(opened_shop(tmp_path, wide(), url=server, timezone=zone)) == embedded
    assert len(set(embedded)) == 4
    assert b'"per_peak"' in embedded[0]
