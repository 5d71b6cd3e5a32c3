"""
A second computation of what a customer owes, from docs/billing.md: lists, loops, fractions.

It knows what is sold (`PLANS`), and of a life its events, line items and new prices. It shares
no code with the engine, and has no idea of speed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

METERS = {
    "images": ("image_generated", "SUM", "image_count"),
    "peak": ("image_generated", "MAX", "height"),
    "calls": ("text_generated", "COUNT", ""),
    "users": ("text_generated", "COUNT_UNIQUE", "user"),
    "tokens": ("text_generated", "SUM", "tokens"),
    "level": ("disk_measured", "LATEST", "gigabytes"),
    "seconds": ("video_generated", "SUM", "video_seconds"),
}


@dataclass(frozen=True)
class Sold:
    """A price: how it is reckoned, with which amount, what it bills."""

    how: str  # flat, package, slab, volume; advance, arrear, once
    amount: str = "0"
    meter: str = ""
    only: tuple[str, ...] = ()  # a property and its values
    tiers: tuple[tuple[int | None, str, str], ...] = ()
    size: int = 0


PLANS: dict[str, dict[str, Sold]] = {
    "metered": {
        "image": Sold("flat", "0.107", "images"),
        "image hd": Sold("flat", "0.25", "images", ("quality", "hd", "ultra")),
        "peak": Sold("volume", meter="peak", tiers=((10, "0.05", "0"), (None, "0.03", "0.111"))),
        "call": Sold("package", "0.35", "calls", size=3),
        "user": Sold("flat", "0.5", "users"),
        "token": Sold("slab", meter="tokens", tiers=((20, "0.013", "0"), (None, "0.007", "1"))),
        "disk": Sold("flat", "0.2", "level"),
        "video": Sold("flat", "0.09", "seconds", ("resolution", "720p")),
    },
    "hybrid": {
        "base": Sold("advance", "30"),
        "seat": Sold("arrear", "10"),
        "setup": Sold("once", "99"),
        "image in hybrid": Sold("flat", "0.2", "images"),
        "image hd in hybrid": Sold("package", "1.1", "images", ("quality", "hd"), size=4),
        "token in hybrid": Sold(
            "volume", meter="tokens", tiers=((20, "0.1", "0"), (None, "0.06", "0"))
        ),
    },
}
INCLUDED = 7  # images, in hybrid
GRANTED = 2  # credits, every month of a subscription to metered
GRANT_DAYS = 35


def catalog(reset: str) -> str:
    """Write what is sold as a catalog; JSON is YAML, too."""
    meters = {
        name: {"event_name": event, "aggregation": {"type": kind, "field": of or None}}
        for name, (event, kind, of) in METERS.items()
    }
    plans: dict[str, Any] = {
        plan: {"prices": {name: _price(sold) for name, sold in prices.items()}}
        for plan, prices in PLANS.items()
    }
    plans["hybrid"]["entitlements"] = {
        "images": {"usage_limit": INCLUDED, **({"usage_reset_period": reset} if reset else {})}
    }
    plans["metered"]["credit_grants"] = {
        "monthly": {
            "credits": GRANTED,
            "cadence": "RECURRING",
            "period": "MONTHLY",
            "priority": 2,
            "expiration_type": "DURATION",
            "expiration_duration": GRANT_DAYS,
            "expiration_duration_unit": "DAY",
        }
    }
    features = {"images": {"meter": "images"}}
    return json.dumps({"meters": meters, "features": features, "plans": plans})


def _price(sold: Sold) -> dict[str, Any]:
    if not sold.meter:
        cadence = "ARREAR" if sold.how == "arrear" else "ADVANCE"
        period = "ONETIME" if sold.how == "once" else "MONTHLY"
        fixed = {"type": "FIXED", "amount": sold.amount, "invoice_cadence": cadence}
        return {**fixed, "billing_period": period}
    told: dict[str, Any] = {"meter": sold.meter}
    if sold.only:
        told["filter_values"] = {sold.only[0]: list(sold.only[1:])}
    if sold.how == "package":
        told["transform_quantity"] = {"divide_by": sold.size, "round": "up"}
        told["billing_model"] = "PACKAGE"
    if sold.tiers:
        tiers = [{"up_to": t, "unit_amount": u, "flat_amount": f} for t, u, f in sold.tiers]
        told |= {"billing_model": "TIERED", "tier_mode": sold.how.upper(), "tiers": tiers}
    else:
        told["amount"] = sold.amount
    return told


@dataclass(frozen=True)
class Used:
    """An event as it was sent."""

    id: str
    name: str
    at: datetime
    facts: Mapping[str, Any]


@dataclass(eq=False, repr=False)
class Item:
    """A line item: what it bills from when to when; `own` are amounts of a price of its own."""

    name: str
    start: datetime
    end: datetime | None = None
    quantity: int = 1
    own: list[tuple[datetime, str]] | None = None
    root: Item | None = None  # what it came in place of, at first

    @property
    def first(self) -> Item:
        return self if self.root is None else self.root


@dataclass(frozen=True)
class Part:
    """A line item under one version of its price."""

    item: Item
    sold: Sold
    start: datetime
    end: datetime


@dataclass(eq=False, repr=False)
class Subscribed:
    """A subscription."""

    id: str
    plan: str
    start: datetime
    months: int
    calendar: bool
    zone: ZoneInfo
    items: list[Item]
    end: datetime | None = None
    promise: tuple[int, str, bool] | None = None  # amount, factor, whether the rest is due

    def boundary(self, number: int, months: int) -> datetime:
        """When the period of so many months with a number begins, the first being 0."""
        local = self.start.astimezone(self.zone).replace(tzinfo=None)
        if self.calendar:
            local = datetime(local.year, local.month - (local.month - 1) % months, 1)  # noqa: DTZ001
        month = local.month - 1 + number * months
        year, month = local.year + month // 12, month % 12 + 1
        following = datetime(year + month // 12, month % 12 + 1, 1)  # noqa: DTZ001
        day = min(local.day, (following - timedelta(days=1)).day)
        return local.replace(year=year, month=month, day=day, tzinfo=self.zone).astimezone(UTC)

    def whole(self, months: int) -> Iterator[tuple[datetime, datetime]]:
        """Full periods, one after the other, the first perhaps from before the start."""
        number = 0
        while True:
            yield self.boundary(number, months), self.boundary(number + 1, months)
            number += 1

    def periods(self, until: datetime) -> list[tuple[datetime, datetime]]:
        """Billing periods that begin by a time."""
        found: list[tuple[datetime, datetime]] = []
        last = datetime.max.replace(tzinfo=UTC) if self.end is None else self.end
        for start, end in self.whole(self.months):
            if start > until or start >= last:
                return found
            found.append((max(start, self.start), min(end, last)))
        return found

    def holding(self, at: datetime) -> tuple[datetime, datetime]:
        return self.periods(at)[-1]


@dataclass
class Sales:
    """All that was used, and each new price: from when which amount."""

    zone: ZoneInfo
    reset: str
    events: dict[str, Used] = field(default_factory=dict[str, Used])
    changes: dict[str, list[tuple[datetime, str]]] = field(
        default_factory=dict[str, list[tuple[datetime, str]]]
    )

    def parts(self, sub: Subscribed) -> list[Part]:
        """Line items by the versions of their prices, in their order."""
        found: list[Part] = []
        far = datetime.max.replace(tzinfo=UTC)
        for item in sub.items:
            sold = PLANS[sub.plan][item.name]
            first = (datetime.min.replace(tzinfo=UTC), sold.amount)
            known = item.own or [first, *self.changes.get(item.name, [])]
            for number, (start, amount) in enumerate(known):
                ends = [known[number + 1][0] if number + 1 < len(known) else far]
                ends += [item.end or far, sub.end or far]
                begun, over = max(start, item.start), min(ends)
                if begun < over:
                    version = Sold(sold.how, amount, sold.meter, sold.only, sold.tiers, sold.size)
                    found.append(Part(item, version, begun, over))
        return found

    def by_part(
        self, sub: Subscribed, start: datetime, end: datetime
    ) -> list[tuple[Part, list[Used]]]:
        """What each part bills of a time: the price that says most takes an event."""
        parts = [p for p in self.parts(sub) if p.sold.meter and p.start < end and start < p.end]
        found: list[tuple[Part, list[Used]]] = [(part, []) for part in parts]
        for event in self.events.values():
            if not start <= event.at < end or event.facts.get("billable") == "false":
                continue
            for meter, (name, _, _) in METERS.items():
                fits = [
                    (len(part.sold.only), number)
                    for number, part in enumerate(parts)
                    if part.sold.meter == meter and part.start <= event.at < part.end
                    if not part.sold.only
                    or event.facts.get(part.sold.only[0]) in part.sold.only[1:]
                ]
                if name == event.name and fits:
                    found[max(fits)[1]][1].append(event)
        return found


def counted(meter: str, events: Sequence[Used]) -> Fraction:
    """What a meter says of some events."""
    _, kind, of = METERS[meter]
    values = [Fraction(str(e.facts.get(of, 0))) for e in events] if kind != "COUNT_UNIQUE" else []
    if kind == "COUNT":
        return Fraction(len(events))
    if kind == "COUNT_UNIQUE":
        return Fraction(len({e.facts[of] for e in events if of in e.facts}))
    if kind == "LATEST":
        latest = sorted(events, key=lambda e: e.at)[-1:]
        return Fraction(str(latest[0].facts.get(of, 0))) if latest else Fraction(0)
    return max(values, default=Fraction(0)) if kind == "MAX" else Fraction(sum(values))


def cost(sold: Sold, quantity: Fraction) -> Fraction:
    """What a quantity costs."""
    if not quantity:
        return Fraction(0)
    if sold.how == "package":
        return -(-quantity // sold.size) * Fraction(sold.amount)
    if not sold.tiers:
        return quantity * Fraction(sold.amount)
    below, total = Fraction(0), Fraction(0)
    for up_to, unit, flat in sold.tiers:
        top = quantity if up_to is None else min(quantity, Fraction(up_to))
        if sold.how == "volume" and top == quantity:
            return quantity * Fraction(unit) + Fraction(flat)
        total += (top - below) * Fraction(unit) + Fraction(flat)
        below = top
        if sold.how == "slab" and top == quantity:
            return total
    raise AssertionError


def cents(amount: Fraction) -> Fraction:
    """Round to cents, half up."""
    return Fraction((amount * 100 + Fraction(1, 2)) // 1, 100)
