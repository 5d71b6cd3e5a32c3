"""A customer's life: what may happen in it, each time beside the plain second computation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.engine.life_watched import ZONES, Watched, exact, text
from tests.engine.plain_purse import Credit
from tests.engine.plain_sale import METERS, PLANS, Item, Subscribed, Used
from tokenmeter.engine.errors import InsufficientBalanceError

BEGINNINGS = (  # the year's end, a leap day, hours that a clock leaves out or shows twice
    *("2027-12-31T10:00", "2028-02-29T23:30", "2028-01-31T06:00", "2027-01-31T18:30"),
    *("2027-03-14T02:30", "2027-10-31T02:30", "2027-06-01T00:00"),
)
RESETS = ("", "NEVER", "DAILY", "MONTHLY")
FLAT = [n for p in PLANS.values() for n, s in p.items() if s.how in ("flat", "advance", "arrear")]
SUBSCRIBED = st.tuples(
    st.sampled_from(sorted(PLANS)),
    st.sampled_from([1, 1, 3]),
    st.booleans(),
    st.sampled_from([None, None, (5, "1.5", True), (3, "2", False)]),
)
CALLS = st.tuples(
    st.sampled_from(sorted({meter[0] for meter in METERS.values()})),
    st.sampled_from([0, 1, 2, 5, 12, 30, "0.37"]),
    st.sampled_from(["now", "now", "edge", "before", "hour", "days", "month"]),
    st.sampled_from(["a", "a", "hd", "720p", "billable"]),
)
AMOUNTS = st.sampled_from(["0.05", "0.333", "12.5", "31"])
T = TypeVar("T")


def chosen(data: st.DataObject, among: Sequence[T]) -> T:
    """Draw one of some things."""
    return among[data.draw(st.integers(0, len(among) - 1))]


class Life(Watched):
    """One customer, from the first subscription on."""

    @initialize(
        begun=st.sampled_from(BEGINNINGS),
        zone=st.sampled_from(ZONES),
        reset=st.sampled_from(RESETS),
        rate=st.sampled_from(["1", "0.25"]),
        first=SUBSCRIBED,
    )
    def begin(
        self, begun: str, zone: str, reset: str, rate: str, first: tuple[str, int, bool, Any]
    ) -> None:
        self.open(begun, zone, reset, rate)
        self.subscribe(asked=first)

    @precondition(lambda self: not self.running())
    @rule(asked=SUBSCRIBED)
    def subscribe(self, asked: tuple[str, int, bool, Any]) -> None:
        plan, months, calendar, promise = asked
        fields: dict[str, Any] = {
            "billing_period": "MONTHLY" if months == 1 else "QUARTERLY",
            "billing_cycle": "calendar" if calendar else "anniversary",
            "start_date": self.now,
        }
        if promise:
            names = ("commitment_amount", "overage_factor", "enable_true_up")
            fields |= dict(zip(names, promise, strict=True))
        made = self.shop.subscribe(plan, **fields)
        zone = self.book.sales.zone
        items = [Item(name, self.now) for name in PLANS[plan]]
        sub = Subscribed(made, plan, self.now, months, calendar, zone, items, promise=promise)
        self.book.subs.append(sub)
        told = self.shop.services.subscriptions.get(made)["line_items"]
        by_name = {one["display_name"]: one["id"] for one in told}
        self.ids |= {item: by_name[item.name] for item in items}
        self.move(1)

    @precondition(lambda self: bool(self.running()))
    @rule(several=st.lists(CALLS, min_size=6, max_size=12), days=st.sampled_from([0, 20, 31]))
    def live(self, several: list[tuple[str, Any, str, str]], days: int) -> None:
        """Use much, and be billed."""
        self.use(several=several[:3], hours=1)
        self.use(several=several[3:], hours=100)
        self.bill(days=days)

    @rule(several=st.lists(CALLS, min_size=3, max_size=8), hours=st.integers(1, 200))
    def use(self, several: list[tuple[str, Any, str, str]], hours: int) -> None:
        self.move(3600 * hours)
        for name, size, late, kind in several:
            self.number += 1
            at = self.at(late)
            if name == "disk_measured":
                at += timedelta(microseconds=self.number * 3)
            facts: dict[str, Any] = {m[2]: size for m in METERS.values() if m[0] == name and m[2]}
            facts |= {"user": f"u{size}"} if "user" in facts else {}
            facts |= {"hd": {"quality": "hd"}, "720p": {"resolution": "720p"}}.get(kind, {})
            facts |= {"billable": "false"} if kind == "billable" else {}
            used = Used(f"e{self.number}", name, at, facts)
            self.book.sales.events[used.id] = used
            self.send(used)

    @precondition(lambda self: bool(self.book.sales.events))
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self.send(chosen(data, list(self.book.sales.events.values())))

    @rule(seconds=st.sampled_from([7, 3600, 86_400, 9 * 86_400, 31 * 86_400]))
    def move(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(name=st.sampled_from(FLAT), amount=AMOUNTS, days=st.sampled_from([0, 0, 5, 40]))
    def reprice(self, name: str, amount: str, days: int) -> None:
        changes = self.book.sales.changes.setdefault(name, [])
        if changes and changes[-1][0] >= self.now:
            return
        at = self.now + timedelta(days=days)
        held = self.shop.services.definitions.by_key("price", name)
        change = {"amount": amount, "effective_from": at}
        self.shop.services.definitions.update("price", held["id"], change)
        changes.append((at, amount))
        self.move(1)

    @precondition(lambda self: bool(self.items(FLAT)))
    @rule(data=st.data(), quantity=st.sampled_from([None, 1, 2, 5]), amount=AMOUNTS)
    def change_item(self, data: st.DataObject, quantity: int | None, amount: str) -> None:
        sub, item = chosen(data, self.items(FLAT))
        fixed = not PLANS[sub.plan][item.name].meter
        new = Item(item.name, self.now, None, item.quantity, item.own, item.first)
        fields: dict[str, Any] = {"effective_from": self.now}
        if quantity is not None and fixed:
            fields["quantity"] = new.quantity = quantity
        else:
            fields["amount"] = amount
            new.own = [(self.now, amount)]
        made = self.shop.services.subscriptions.update_line_item(self.ids[item], fields)
        item.end, self.ids[new] = self.now, made["id"]
        sub.items.append(new)
        self.move(1)

    @precondition(lambda self: any(item.own for _, item in self.items(FLAT)))
    @rule(data=st.data(), amount=AMOUNTS, days=st.sampled_from([0, 20]))
    def reprice_own(self, data: st.DataObject, amount: str, days: int) -> None:
        sub, item = chosen(data, [held for held in self.items(FLAT) if held[1].own])
        versions, at = item.own or [], self.now + timedelta(days=days)
        if versions[-1][0] >= self.now:
            return
        held = self.told_of(sub, item)["price_id"]
        for _ in versions[1:]:  # each change makes a price, of which the last can be changed
            held = self.next_version(held)
        change = {"amount": amount, "effective_from": at}
        self.shop.services.definitions.update("price", held, change)
        versions.append((at, amount))
        self.move(1)

    @precondition(lambda self: bool(self.items([n for p in PLANS.values() for n in p])))
    @rule(data=st.data(), again=st.booleans())
    def end_item(self, data: st.DataObject, again: bool) -> None:
        names = [n for p in PLANS.values() for n in p]
        sub, item = chosen(data, self.items(names))
        self.shop.services.subscriptions.end_line_item(self.ids[item])
        item.end = self.now
        self.move(3600)
        if again and sub in self.running():
            held = self.shop.services.definitions.by_key("price", item.name)
            asked = {"price_id": held["id"], "start_date": self.now}
            made = self.shop.services.subscriptions.add_line_item(sub.id, asked)
            sub.items.append(new := Item(item.name, self.now))
            self.ids[new] = made["id"]
            self.move(1)

    @precondition(lambda self: bool(self.running()))
    @rule(later=st.booleans())
    def cancel(self, later: bool) -> None:
        (sub,) = self.running()
        self.shop.services.subscriptions.cancel(sub.id, {"cancel_at_period_end": later})
        sub.end = sub.holding(self.now)[1] if later else self.now
        self.move(1)

    @precondition(lambda self: any(s.promise is None for s in self.running()))
    @rule(days=st.sampled_from([3, 20, 60]))
    def move_end(self, days: int) -> None:
        (sub,) = self.running()
        sub.end = self.now + timedelta(days=days)
        self.shop.services.subscriptions.update(sub.id, {"end_date": sub.end})

    @rule(
        amount=st.integers(1, 9),
        priority=st.sampled_from([None, 1, 3]),
        days=st.sampled_from([None, 1, 20, 50]),
    )
    def top_up(self, amount: int, priority: int | None, days: int | None) -> None:
        self.number += 1
        expires = None if days is None else self.now + timedelta(days=days)
        asked = {"credits_to_add": amount, "transaction_reason": "PURCHASED_CREDIT_DIRECT"}
        asked |= {"idempotency_key": f"t{self.number}", "priority": priority}
        for _ in range(2):  # the first answer was lost
            self.shop.services.wallets.top_up(self.wallet, {**asked, "expiry_date_utc": expires})
        self.book.purse.balance(self.now)
        self.book.purse.add(Credit(Fraction(amount), priority, expires))

    @rule(amount=st.integers(1, 4))
    def debit(self, amount: int) -> None:
        self.shop.services.wallets.debit(self.wallet, {"credits": amount})
        self.book.purse.take(Fraction(amount), self.now)

    @rule(amount=st.integers(1, 6), ends=st.sampled_from(["settle", "void", "expire"]))
    def hold(self, amount: int, ends: str) -> None:
        self.move(61)
        self.before_holding()
        wallets, free = self.shop.services.wallets, self.book.real_time(self.now)
        assert exact(wallets.available("acme")) == free
        try:
            held = wallets.hold("acme", Decimal(amount), expires_s=30)
        except InsufficientBalanceError:
            assert amount > free
            return
        assert amount <= free
        assert exact(wallets.available("acme")) == free - amount
        if ends == "settle":
            wallets.settle(held.id, Decimal("0.5"))
            assert exact(wallets.available("acme")) == free - Fraction(1, 2)
        elif ends == "void":
            wallets.void(held.id)
        self.move(61)
        assert exact(wallets.available("acme")) == self.book.real_time(self.now)

    @precondition(lambda self: bool(self.book.subs))
    @rule(days=st.sampled_from([0, 1, 20, 31, 31, 70]))
    def bill(self, days: int) -> None:
        self.move(days * 86_400)
        self.before_billing()
        self.shop.services.run()
        self.book.run(self.now)
        self.compare()

    @precondition(lambda self: any(s.promise is None for s in self.book.subs))
    @rule(data=st.data(), days=st.integers(1, 20))
    def bill_a_part(self, data: st.DataObject, days: int) -> None:
        sub = chosen(data, [s for s in self.book.subs if s.promise is None])
        periods = [p for p in sub.periods(self.now) if p[0] <= self.now]
        wanted = [q for p in periods[-2:] for q in self.book.open_parts(sub, p)]
        if not wanted:
            return
        start, end = chosen(data, wanted)
        end = min(end, self.now, start + timedelta(days=days, hours=5))
        if start >= end:
            return
        asked = {"subscription_id": sub.id, "period_start": start, "period_end": end}
        drafted = self.shop.services.invoices.draft(asked)
        self.shop.services.invoices.finalize(drafted["id"])
        self.book.close(sub, (start, end), self.now)
        self.compare()

    @precondition(lambda self: any(not b.is_void and not b.noted for b in self.book.bills))
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        live = [b for b in self.book.bills if not b.is_void and not b.noted]
        bill = chosen(data, live)
        self.shop.services.invoices.void(self.invoice_of(bill)["id"])
        self.book.void(bill, self.now)
        self.compare()

    @precondition(lambda self: bool(self.unpaid()))
    @rule(data=st.data(), whole=st.booleans())
    def pay(self, data: st.DataObject, whole: bool) -> None:
        bill = chosen(data, self.unpaid())
        left = bill.total - bill.paid - bill.noted
        part = left if whole else Fraction(left * 50 // 1, 100)
        self.shop.services.invoices.pay(self.invoice_of(bill)["id"], Decimal(text(part)))
        bill.noted += part

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.bill(days=31)
            self.compare_again()
            self.shop.store.close()
            self.folder.cleanup()
