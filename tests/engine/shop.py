"""A small shop to bill: one catalog, one customer, a clock that is moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.engine.sold import StillClock
from tests.sqlite import new_file
from tokenmeter.engine.catalog_file import load
from tokenmeter.engine.ingest import ingest
from tokenmeter.engine.services import Services
from tokenmeter.engine.store.opening import open_store
from tokenmeter.engine.store.protocol import Store
from tokenmeter.event import Event

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)
CATALOG = """\
meters:
  images: {event_name: image_generated, aggregation: {type: SUM, field: image_count}}
  tokens: {event_name: text_generated, aggregation: {type: SUM, field: tokens}}
features:
  images: {meter: images}
plans:
  metered:
    prices:
      image: {meter: images, amount: 0.10}
      image_hd: {meter: images, amount: 0.25, filter_values: {quality: hd}}
      tokens:
        meter: tokens
        billing_model: TIERED
        tier_mode: SLAB
        tiers: [{up_to: 100, unit_amount: 0.01}, {unit_amount: 0.005, flat_amount: 1}]
  hybrid:
    prices:
      base: {type: FIXED, amount: 30, invoice_cadence: ADVANCE}
      seats: {type: FIXED, amount: 10, min_quantity: 2}
      setup: {type: FIXED, amount: 99, billing_period: ONETIME, invoice_cadence: ADVANCE}
      image_in_hybrid: {meter: images, amount: 0.20}
    entitlements:
      images: {usage_limit: 10}
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A database, its services and their clock."""

    store: Store
    services: Services
    clock: StillClock

    def subscribe(self, plan: str = "metered", /, **fields: Any) -> str:
        """Subscribe acme, in USD, monthly from June on; return the id."""
        asked = {
            "external_customer_id": "acme",
            "plan_id": plan,
            "currency": "usd",
            "billing_period": "MONTHLY",
            "start_date": JUNE,
            **fields,
        }
        return str(self.services.subscriptions.create(asked)["id"])

    def use(self, key: str, at: datetime, name: str = "image", /, **properties: Any) -> None:
        """Store one event of acme's."""
        ingest(self.store, [Event(f"{name}_generated", key, "acme", at, properties)])

    def bill(self, subscription: str) -> list[dict[str, Any]]:
        """Finalize what is due."""
        return self.services.invoices.bill(subscription)

    def preview(self, subscription: str, start: datetime, end: datetime) -> dict[str, Any]:
        """Preview one period."""
        asked = {"subscription_id": subscription, "period_start": start, "period_end": end}
        return self.services.invoices.preview(asked)


def opened_shop(
    folder: Path, text: str = CATALOG, *, url: str | None = None, **customer: Any
) -> Shop:
    """Open a shop with acme as its customer, in the middle of June."""
    store, clock = open_store(url or new_file(folder / "shop.db")), StillClock(JUNE)
    services = Services(store, clock=clock)
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    services.catalog.apply(load(path))
    services.definitions.create("customer", {"external_id": "acme", "name": "Acme", **customer})
    clock.now = JUNE + timedelta(days=14)
    return Shop(store, services, clock)


def lines(invoice: Mapping[str, Any]) -> dict[str, str]:
    """The amounts that are not 0, by the name of the line."""
    found: dict[str, Decimal] = {}
    for line in invoice["line_items"]:
        name = line["display_name"] + (" overage" if line["is_overage"] else "")
        found[name] = found.get(name, Decimal(0)) + Decimal(line["amount"])
    return {name: str(amount) for name, amount in found.items() if amount}
