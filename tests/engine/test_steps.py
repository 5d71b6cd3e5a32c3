"""What is under way is priced together where a price depends on what was used before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asgi.funded import PERIOD
from tests.engine.made import made
from tests.engine.sold import either_database
from tokenmeter.engine.errors import InsufficientBalanceError
from tokenmeter.engine.local import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tokenmeter.event import Event, Property

PRICE = Decimal("0.50")
FLAT = {"billing_model": "FLAT_FEE", "amount": str(PRICE)}
TIERS = {
    "billing_model": "TIERED",
    "tier_mode": "SLAB",
    "tiers": [{"up_to": 3, "unit_amount": "0.50"}, {"up_to": None, "unit_amount": "2"}],
}


def sold(url: str, price: Mapping[str, Any], credit: str, included: int | None) -> Engine:
    """Sell images to acme, who has paid some credit in advance."""
    engine = Engine(url)
    make = engine.definitions.create
    plan = make("plan", {"name": "Pro", "lookup_key": "pro"})["id"]
    adds = {"aggregation": {"type": "SUM", "field": "image_count"}, "name": "images"}
    meter = {**adds, "event_name": "image_generated", "reset_usage": "BILLING_PERIOD"}
    feature = make("feature", {"name": "I", "lookup_key": "i", "type": "metered", "meter": meter})
    terms = {
        "entity_type": "PLAN",
        "entity_id": plan,
        "type": "USAGE",
        "currency": "usd",
        **PERIOD,
    }
    terms |= {"price_unit_type": "FIAT", "invoice_cadence": "ARREAR"}
    make("price", {**terms, "meter_id": feature["meter_id"], **price})
    if included is not None:
        limit = {"feature_type": "metered", "usage_limit": included}
        make("entitlement", {"plan_id": plan, "feature_id": feature["id"], **limit})
    customer = make("customer", {"external_id": "acme", "name": "acme"})["id"]
    engine.subscriptions.create(
        {"customer_id": customer, "plan_id": plan, "currency": "usd", **PERIOD}
    )
    engine.wallets.create(
        {"customer_id": customer, "currency": "usd", "initial_credits_to_load": credit}
    )
    return engine


def images(number: int, event_id: str) -> Event:
    used: dict[str, Property] = {"image_count": number}
    name, now = "image_generated", datetime.now(UTC)
    return made(event_id, customer="acme", event_name=name, at=now, properties=used)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


def test_of_calls_that_are_each_included_those_beyond_the_allowance_are_paid(
    database: str,
) -> None:
    engine = sold(database, FLAT, "1", included=2)
    others = [engine, Engine(database)]  # as two processes have them
    passed: list[tuple[Engine, str]] = []
    for number in range(10):
        asked = others[number % 2]
        events = [images(1, f"evt_{number}")]
        try:
            held = asked.wallets.hold("acme", Decimal(0), 60, f"call_{number}", events=events)
        except InsufficientBalanceError:
            continue
        passed.append((asked, held.id))
    assert len(passed) == 4
    for number, (asked, hold_id) in enumerate(passed):
        events = [images(1, f"evt_{number}")]
        asked.wallets.settle(hold_id, Decimal(0), reference=f"evt_{number}", events=events)
        assert asked.wallets.available("acme") == 0
        engine.ingest(events)
        with Engine(database) as fresh:
            assert fresh.wallets.available("acme") == 0
    for each in others:
        each.close()


def test_what_is_given_back_can_be_used_by_others(database: str) -> None:
    engine = sold(database, FLAT, "0", included=1)
    events = [images(1, "evt_1")]
    held = engine.wallets.hold("acme", Decimal(0), events=events)
    with pytest.raises(InsufficientBalanceError, match=r"0\.5 USD do not fit: 0 are available"):
        engine.wallets.hold("acme", Decimal(0), events=events)
    engine.wallets.void(held.id)
    again = engine.wallets.hold("acme", Decimal(0), events=events)
    engine.wallets.settle(again.id, Decimal(0), reference="evt_2", events=[images(0, "evt_2")])
    engine.wallets.hold("acme", Decimal(0), events=events)
    engine.close()


@dataclass
class Plain:
    """The same sum, done in the plainest way."""

    credit: Decimal
    included: int
    is_tiered: bool
    used: int = 0
    under_way: dict[int, int] = field(default_factory=dict[int, int])

    def available(self, more: int = 0) -> Decimal:
        paid = max(0, self.used + sum(self.under_way.values()) + more - self.included)
        rates = [PRICE if not self.is_tiered or n < 3 else Decimal(2) for n in range(paid)]
        return self.credit - sum(rates)


class Both:
    """A wallet and the plain sum, which do the same."""

    def __init__(self, url: str, included: int, *, is_tiered: bool) -> None:
        self.plain = Plain(Decimal(4), included, is_tiered)
        self.engine = sold(url, TIERS if is_tiered else FLAT, "4", included or None)
        (self.wallet,) = self.engine.wallets.of_customer("acme")
        self.numbers = count(1)
        self.holds: dict[int, str] = {}
        self.settled: dict[int, int] = {}

    def hold(self, quantity: int) -> None:
        number, alone = next(self.numbers), PRICE * quantity
        events = [images(quantity, f"evt_{number}")]
        if self.plain.available(quantity) < 0:
            with pytest.raises(InsufficientBalanceError):
                self.engine.wallets.hold("acme", alone, events=events)
            return
        self.holds[number] = self.engine.wallets.hold("acme", alone, events=events).id
        self.plain.under_way[number] = quantity

    def void(self, _quantity: int) -> None:
        for number in tuple(self.holds)[:1]:
            self.engine.wallets.void(self.holds.pop(number))
            del self.plain.under_way[number]

    def settle(self, quantity: int) -> None:
        for number in tuple(self.holds)[:1]:
            event, hold_id = images(quantity, f"evt_{number}"), self.holds.pop(number)
            self.engine.wallets.settle(
                hold_id, PRICE * quantity, reference=event.event_id, events=[event]
            )
            self.settled[number] = self.plain.under_way[number] = quantity

    def arrive(self, _quantity: int) -> None:
        for number in tuple(self.settled)[:1]:
            self.engine.ingest([images(self.settled[number], f"evt_{number}")])
            self.plain.used += self.settled.pop(number)
            del self.plain.under_way[number]
            self.engine.wallets.forget(self.wallet["id"])


DONE = st.tuples(
    st.sampled_from([Both.hold, Both.hold, Both.void, Both.settle, Both.arrive]), st.integers(0, 4)
)


@given(
    done=st.lists(DONE, max_size=14), included=st.sampled_from([0, 2, 3]), is_tiered=st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_available_is_what_a_plain_sum_leaves(
    tmp_path_factory: pytest.TempPathFactory,
    done: list[tuple[Callable[[Both, int], None], int]],
    included: int,
    is_tiered: bool,
) -> None:
    place = tmp_path_factory.mktemp("steps") / "usage.db"
    both = Both(f"sqlite:///{place}", included, is_tiered=is_tiered)
    for step, quantity in done:
        step(both, quantity)
        assert both.engine.wallets.available("acme") == both.plain.available()
    both.engine.close()
