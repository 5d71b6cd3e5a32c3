"""A customer's shop, its book beside it, and the comparison of the two."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis.stateful import RuleBasedStateMachine

from tests.engine.plain_book import Bill, Book, Line
from tests.engine.plain_purse import Purse
from tests.engine.plain_sale import Item, Sales, Subscribed, Used, catalog
from tests.engine.shop import Shop, opened_shop
from tests.engine.sold import StillClock
from tokenmeter.engine.ingest import ingest
from tokenmeter.engine.store.documents import Documents
from tokenmeter.event import Event

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata")
Told = list[tuple[str, str, str]]


def text(amount: Fraction) -> str:
    """Write money as invoices do."""
    return f"{Decimal(amount.numerator) / Decimal(amount.denominator):.2f}"


def exact(amount: Any) -> Fraction:
    """Read what the engine says."""
    return Fraction(str(amount))


class Watched(RuleBasedStateMachine):
    """One customer, whom nothing happens to yet."""

    url: str | None = None
    shop: Shop
    book: Book
    folder: tempfile.TemporaryDirectory[str]
    wallet: str
    ids: dict[Item, str]  # of line items
    number: int

    def open(self, begun: str, zone: str, reset: str, rate: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        told = catalog(reset)
        self.shop = opened_shop(Path(self.folder.name), told, url=self.database(), timezone=zone)
        self.clock.now = datetime.fromisoformat(begun).replace(tzinfo=ZoneInfo(zone))
        self.clock.now = self.clock.now.astimezone(ZoneInfo("UTC"))
        own = {"external_customer_id": "acme", "currency": "usd", "conversion_rate": rate}
        self.wallet = self.shop.services.wallets.create(own)["id"]
        self.book = Book(Sales(ZoneInfo(zone), reset), Purse(exact(rate)))
        self.ids = {}
        self.number = 0

    def database(self) -> str:
        return self.url or "sqlite:///:memory:"

    @property
    def clock(self) -> StillClock:
        return self.shop.clock

    @property
    def now(self) -> datetime:
        return self.clock.now

    def running(self) -> list[Subscribed]:
        return [s for s in self.book.subs if s.end is None or s.end > self.now]

    def items(self, names: Iterable[str]) -> list[tuple[Subscribed, Item]]:
        """Line items that run and are not to end."""
        return [
            (sub, item)
            for sub in self.running()
            for item in sub.items
            if item.name in names and item.end is None and item.start < self.now
        ]

    def at(self, late: str) -> datetime:
        """When something was used: at the edge of the running period, or some time ago."""
        if late in ("edge", "before") and self.book.subs:
            edge = self.book.subs[-1].holding(self.now)[0]
            return edge - timedelta(microseconds=1 if late == "before" else 0)
        return self.now - timedelta(hours={"hour": 1, "days": 70, "month": 800}.get(late, 0))

    def send(self, used: Used) -> None:
        at = used.at.astimezone(ZoneInfo(ZONES[self.number % len(ZONES)]))
        ingest(self.shop.store, [Event(used.name, used.id, "acme", at, dict(used.facts))])

    def told_of(self, sub: Subscribed, item: Item) -> dict[str, Any]:
        told: list[dict[str, Any]] = self.shop.services.subscriptions.get(sub.id)["line_items"]
        (found,) = (one for one in told if one["id"] == self.ids[item])
        return found

    def next_version(self, price_id: str) -> str:
        """The price that begins where one ends."""
        definitions = self.shop.services.definitions
        ended = definitions.get("price", price_id)
        with self.shop.store.reading() as connection:
            known = Documents(connection).all("price", parent=ended["entity_id"])
        (found,) = (p.id for p in known if p.body["start_date"] == ended["end_date"])
        return found

    def compare_again(self) -> None:
        """What each closed time would cost now: with the events that came late."""
        found = self.invoices()
        for bill in (b for b in self.book.bills if not b.is_void and b.time[0] < b.time[1]):
            told = json.loads(self.shop.services.invoices.rate_again(self.invoice_of(bill)["id"]))
            usage = [x for x in told["line_items"] if x["meter_id"] or not x["price_id"]]
            same({**told, "line_items": usage}, self.book.usage(bill.sub, bill.time))
            same(found[bill.sub.id, *bill.time], bill.lines)

    def before_holding(self) -> None:
        """What another life has happen before something is held."""

    def before_billing(self) -> None:
        """What another life has happen before it is billed."""

    def closed(self) -> list[dict[str, Any]]:
        told, _ = self.shop.services.invoices.listed()
        return [i for i in told if i["invoice_status"] == "FINALIZED"]

    def unpaid(self) -> list[Bill]:
        return [b for b in self.book.bills if not b.is_void and b.total > b.paid + b.noted]

    def invoice_of(self, bill: Bill) -> dict[str, Any]:
        return self.invoices()[bill.sub.id, *bill.time]

    def invoices(self) -> dict[tuple[str, datetime, datetime], dict[str, Any]]:
        """The closed invoices, by subscription and time."""
        told = self.closed()
        found = {
            (
                i["subscription_id"],
                datetime.fromisoformat(i["period_start"]),
                datetime.fromisoformat(i["period_end"]),
            ): i
            for i in told
        }
        assert len(found) == len(told)
        return found

    def compare(self) -> None:
        """What is billed, line by line; what paid it; what is left of the credits."""
        live, found = [b for b in self.book.bills if not b.is_void], self.invoices()
        assert len(found) == len(live)
        for bill in live:
            told = found[bill.sub.id, *bill.time]
            same(told, bill.lines)
            assert told["total_prepaid_credits_applied"] == text(bill.paid)
            assert exact(told["total"]) == bill.total
        told = self.shop.services.wallets.balance(self.wallet)
        assert exact(told["credit_balance"]) == self.book.purse.balance(self.now)
        assert exact(told["real_time_balance"]) == self.book.real_time(self.now)
        for sub in self.running():
            time = sub.holding(self.now)
            same(self.shop.preview(sub.id, *time), self.book.invoice(sub, time))


def same(invoice: dict[str, Any], lines: Iterable[Line]) -> None:
    told, wanted = shown(invoice), plain(lines)
    time = invoice["period_start"], invoice["period_end"]
    assert told == wanted, f"of {time} the engine bills {told}, and should {wanted}"


def shown(invoice: dict[str, Any]) -> Told:
    found = [
        (
            x["display_name"] + (" overage" if x["is_overage"] else ""),
            x["period_start"],
            x["amount"],
        )
        for x in invoice["line_items"]
    ]
    return sorted(f for f in found if f[2] != "0.00")


def plain(lines: Iterable[Line]) -> Told:
    found = [(x.name, x.start.isoformat().replace("+00:00", "Z"), text(x.amount)) for x in lines]
    return sorted(f for f in found if f[2] != "0.00")
