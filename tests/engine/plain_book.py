"""
A second computation of invoices, credits and balances, from docs/billing.md and docs/wallets.md.

Beside `plain_sale`, which knows what is sold and used; no code of the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from tests.engine.plain_purse import Credit, Purse
from tests.engine.plain_sale import (
    GRANT_DAYS,
    GRANTED,
    INCLUDED,
    Item,
    Part,
    Sales,
    Subscribed,
    Used,
    cents,
    cost,
    counted,
)

Time = tuple[datetime, datetime]
FAR = datetime.max.replace(tzinfo=UTC)
NONE = Fraction(0)


@dataclass(frozen=True)
class Line:
    """A line of an invoice; `exact` before it is rounded."""

    name: str
    start: datetime
    end: datetime
    exact: Fraction
    root: Item | None = None  # of a fixed price
    is_usage: bool = True

    @property
    def amount(self) -> Fraction:
        return cents(self.exact)


@dataclass(eq=False, repr=False)
class Bill:
    """A closed invoice."""

    sub: Subscribed
    time: Time
    lines: list[Line]
    credits: Fraction = NONE
    paid: Fraction = NONE  # from credits, as money
    noted: Fraction = NONE  # paid otherwise
    is_void: bool = False

    @property
    def total(self) -> Fraction:
        return sum((line.amount for line in self.lines), NONE)


@dataclass
class Book:
    """Everything that was billed to one customer, and what has paid it."""

    sales: Sales
    purse: Purse
    subs: list[Subscribed] = field(default_factory=list[Subscribed])
    bills: list[Bill] = field(default_factory=list[Bill])
    given: set[tuple[str, datetime]] = field(default_factory=set[tuple[str, datetime]])

    def usage(self, sub: Subscribed, time: Time) -> list[Line]:
        """What the usage of a time costs, its commitment apart."""
        found: list[Line] = []
        parts = self.sales.by_part(sub, *time)
        free = self._included(sub, time, parts)
        for (part, events), less in zip(parts, free, strict=True):
            exact = cost(part.sold, counted(part.sold.meter, events) - less)
            start, end = max(part.start, time[0]), min(part.end, time[1])
            found.append(Line(part.item.name, start, end, exact))
        return self._promised(sub, time, parts, found)

    def invoice(self, sub: Subscribed, time: Time) -> list[Line]:
        """Everything that is billed at the end of a time; one without length is the opening."""
        others = [b for b in self.live(sub) if b.time != time]
        first = sub.periods(sub.start)[0]
        if time[0] == time[1]:
            return [*self._advance(sub, first, others), *self._once(sub, time, others)]
        found = [*self.usage(sub, time), *self._fixed(sub, "arrear", time)]
        own = sub.holding(time[0])
        if any(b.time[1] == own[0] for b in others):  # else that invoice is still to come
            found += self._advance(sub, own, others)
        found += self._once(sub, time, others)
        if time[1] == own[1] and time[1] != sub.end:
            found += self._advance(sub, sub.holding(time[1]), others)
        return found

    def live(self, sub: Subscribed) -> list[Bill]:
        return [b for b in self.bills if b.sub is sub and not b.is_void]

    def due(self, sub: Subscribed, now: datetime) -> list[Time]:
        """What has ended and was not billed."""
        opening, found = (sub.start, sub.start), list[Time]()
        closed = [b.time for b in self.live(sub)]
        if sub.start <= now and opening not in closed and self.invoice(sub, opening):
            found.append(opening)
        ended = [p for p in sub.periods(now) if p[1] <= now and sub.start <= now]
        return [*found, *(part for p in ended for part in self.open_parts(sub, p))]

    def open_parts(self, sub: Subscribed, time: Time) -> Iterator[Time]:
        """What of a time no invoice has billed."""
        begun = time[0]
        for start, end in sorted(b.time for b in self.live(sub) if b.time[0] < b.time[1]):
            if begun < min(start, time[1]):
                yield begun, min(start, time[1])
            begun = max(begun, end)
        if begun < time[1]:
            yield begun, time[1]

    def run(self, now: datetime) -> None:
        """Give credits, and bill what is due."""
        for sub in self.subs:
            if sub.plan == "metered":
                self._grant(sub, now)
            for time in self.due(sub, now):
                self.close(sub, time, now)

    def close(self, sub: Subscribed, time: Time, now: datetime) -> None:
        """Finalize the invoice of a time: a wallet pays for usage."""
        bill = Bill(sub, time, self.invoice(sub, time))
        money = max(NONE, self.purse.balance(now)) * self.purse.rate * 100 // 1 / Fraction(100)
        bill.paid = min(money, sum((x.amount for x in bill.lines if x.is_usage), NONE))
        bill.credits = bill.paid / self.purse.rate
        if bill.credits:
            self.purse.take(bill.credits, now)
        self.bills.append(bill)

    def void(self, bill: Bill, now: datetime) -> None:
        bill.is_void = True
        self.purse.balance(now)
        if bill.credits:
            self.purse.add(Credit(bill.credits))

    def real_time(self, now: datetime) -> Fraction:
        """The balance less all usage that is not paid."""
        left = self.purse.balance(now) * self.purse.rate
        for sub in self.subs:
            for period in sub.periods(now):
                for part in self.open_parts(sub, period):
                    left -= sum((x.exact for x in self.usage(sub, part) if x.is_usage), NONE)
        for bill in self.bills:
            usage = sum((x.amount for x in bill.lines if x.is_usage), NONE)
            if not bill.is_void:
                left -= max(NONE, usage - bill.paid - bill.noted)
        return left

    def _grant(self, sub: Subscribed, now: datetime) -> None:
        for start, end in sub.whole(1):
            begun = max(start, sub.start)
            if begun > now or (sub.end is not None and begun >= sub.end):
                return
            expires = begun + timedelta(days=GRANT_DAYS)
            if (sub.id, begun) not in self.given and expires > now:
                self.given.add((sub.id, begun))
                share = Fraction(GRANTED) * _ratio(end - begun, end - start)
                share = Fraction((share * 10**8 + Fraction(1, 2)) // 1, 10**8)
                self.purse.add(Credit(share, 2, expires))

    def _included(
        self, sub: Subscribed, time: Time, parts: list[tuple[Part, list[Used]]]
    ) -> list[Fraction]:
        """What of each part's usage is included: once in each window, in the parts' order."""
        found = [NONE for _ in parts]
        for start, end in self._windows(sub, time) if sub.plan == "hybrid" else ():
            before = self.sales.by_part(sub, start, max(start, time[0]))
            used = (counted("images", e) for p, e in before if p.sold.meter == "images")
            left = max(NONE, INCLUDED - sum(used, NONE))
            for number, (part, events) in enumerate(parts):
                if part.sold.meter == "images":
                    mine = counted("images", [e for e in events if start <= e.at < end])
                    found[number] += min(left, mine)
                    left -= min(left, mine)
        return found

    def _windows(self, sub: Subscribed, time: Time) -> Iterable[Time]:
        whole: Iterable[Time] = [(sub.start, FAR)]
        if self.sales.reset == "":
            whole = [sub.holding(time[0])]
        elif self.sales.reset == "MONTHLY":
            whole = sub.whole(1)
        elif self.sales.reset == "DAILY":
            whole = self._days(sub)
        for start, end in whole:
            if start >= time[1]:
                return
            if end > time[0]:
                yield max(start, sub.start), end

    def _days(self, sub: Subscribed) -> Iterator[Time]:
        day = sub.start.astimezone(sub.zone).replace(tzinfo=None)
        day = day.replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            after = day + timedelta(days=1)
            yield tuple(d.replace(tzinfo=sub.zone).astimezone(UTC) for d in (day, after))  # type: ignore[misc]
            day = after

    def _promised(
        self, sub: Subscribed, time: Time, parts: list[tuple[Part, list[Used]]], lines: list[Line]
    ) -> list[Line]:
        """Hold usage to the commitment: the factor above it, a line for what is missing."""
        if sub.promise is None:
            return lines
        left, factor, is_due = Fraction(sub.promise[0]), *sub.promise[1:]
        found: list[Line] = []
        for (part, _), line in zip(parts, lines, strict=True):
            inside = min(line.exact, left)
            unit = Fraction(part.sold.amount)
            if inside < line.exact and part.sold.how == "flat" and unit:
                inside = left // unit * unit
            over = (line.exact - inside) * Fraction(factor)
            left = NONE if over else left - inside
            found.append(Line(line.name, line.start, line.end, inside))
            found.append(Line(f"{line.name} overage", line.start, line.end, over))
        if is_due and left:
            missing = sub.promise[0] - cents(sub.promise[0] - left)
            found.append(Line("Commitment true-up", *time, missing, is_usage=False))
        return found

    def _fixed(self, sub: Subscribed, how: str, time: Time) -> Iterator[Line]:
        """Fixed prices by the month, each for its share."""
        for part in self.sales.parts(sub):
            for month in sub.whole(1):
                if month[0] >= time[1]:
                    break
                start = max(part.start, month[0], time[0])
                end = min(part.end, month[1], time[1])
                if part.sold.how == how and start < end:
                    full = Fraction(part.sold.amount) * part.item.quantity
                    exact = full * _ratio(end - start, month[1] - month[0])
                    yield Line(part.item.name, start, end, exact, part.item.first, is_usage=False)

    def _advance(self, sub: Subscribed, period: Time, others: list[Bill]) -> Iterator[Line]:
        """What is due in advance for a period, less what was paid for the same time."""
        for line in self._fixed(sub, "advance", period):
            rest = line.amount
            for old in (x for b in others for x in b.lines if x.root is line.root):
                both = min(old.end, line.end) - max(old.start, line.start)
                if both > timedelta(0):
                    rest -= cents(old.amount * _ratio(both, old.end - old.start))
            if rest > 0:
                yield Line(line.name, line.start, line.end, rest, line.root, is_usage=False)

    def _once(self, sub: Subscribed, time: Time, others: list[Bill]) -> Iterator[Line]:
        """One-time prices that begin now, or began in a time that was billed without them."""
        own, seen = sub.holding(time[0]), set[int]()
        for part in (p for p in self.sales.parts(sub) if p.sold.how == "once"):
            at, opening = part.item.start, (sub.start, sub.start)
            if id(part.item) in seen:
                continue  # a later version of its price
            seen.add(id(part.item))
            if at == sub.start:
                is_due = time == opening or any(b.time == opening for b in others)
            else:
                is_late = at < own[0] and any(b.time[0] <= at < b.time[1] for b in others)
                is_due = time != opening and (own[0] <= at < own[1] or is_late)
            root = part.item.first
            paid = sum((x.amount for b in others for x in b.lines if x.root is root), NONE)
            rest = Fraction(part.sold.amount) * part.item.quantity - paid
            if is_due and rest > 0:
                yield Line(part.item.name, *sub.holding(at), rest, root, is_usage=False)


def _ratio(part: timedelta, whole: timedelta) -> Fraction:
    unit = timedelta(microseconds=1)
    return Fraction(part // unit, whole // unit)
