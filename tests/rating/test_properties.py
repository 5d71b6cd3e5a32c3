"""What holds for every quantity, every price and every order of events."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from decimal import Decimal, localcontext
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rating.made import MARCH, START, d, event, fixed, meter, price
from tokenmeter.event import Event
from tokenmeter.rating.adjust import Discount, Terms, rate
from tokenmeter.rating.aggregation import Grid, Measurement, Tally, measure, tally
from tokenmeter.rating.commitment import Commitment, UsageCharge, settle
from tokenmeter.rating.credits import Credit, draw
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import check_unambiguous, choose
from tokenmeter.rating.invoice import Invoice, InvoiceLine, discounted
from tokenmeter.rating.meter import AggregationType
from tokenmeter.rating.models import FlatFee, Package, Slab, Tier, Tiered, Volume, marginal, total
from tokenmeter.rating.periods import BillingPeriod, Cycle
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import allocated, plus
from tokenmeter.rating.selection import assign
from tokenmeter.rating.windows import Window, zone_of

# The same examples on every run, on a busy machine too.
always = settings(deadline=None, derandomize=True, database=None)
amounts = st.decimals(0, 1000, places=6)
quantities = st.decimals(0, 10**7, places=3)
zones = st.sampled_from(
    ["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
).map(zone_of)


@st.composite
def tier_lists(draw_: st.DrawFn) -> tuple[Tier, ...]:
    """One to six tiers that rise and end open."""
    bounds = sorted(draw_(st.sets(st.integers(1, 10**6), max_size=5)))
    ends: list[Decimal | None] = [Decimal(b) for b in bounds]
    return tuple(Tier(draw_(amounts), end, draw_(amounts)) for end in [*ends, None])


tiered = tier_lists().flatmap(lambda held: st.sampled_from([Volume(held), Slab(held)]))
models = st.one_of(
    tiered,
    amounts.map(FlatFee),
    st.builds(
        Package, amounts, st.integers(1, 10**4).map(Decimal), st.sampled_from(["up", "down"])
    ),
)


@always
@given(models, quantities)
def test_each_unit_is_priced_once(model: Volume | Slab | FlatFee | Package, used: Decimal) -> None:
    lines = model.lines(used)
    assert plus(line.quantity for line in lines) == used
    assert total(lines) == plus(line.amount for line in lines)


@always
@given(tier_lists(), quantities)
def test_a_slab_line_stays_within_its_tier(held: tuple[Tier, ...], used: Decimal) -> None:
    start = Decimal(0)
    for line, tier in zip(Slab(held).lines(used), held, strict=False):
        assert line.quantity >= 0
        assert tier.up_to is None or start + line.quantity <= tier.up_to
        assert line.amount == line.quantity * tier.unit_amount + tier.flat_amount
        start += line.quantity


@always
@given(tier_lists(), quantities, quantities)
def test_more_usage_never_costs_less_by_slabs(
    held: tuple[Tier, ...], used: Decimal, more: Decimal
) -> None:
    assert marginal(Slab(held), used, more) >= 0


@always
@given(tiered, quantities, st.lists(quantities, max_size=4))
def test_marginal_amounts_add_up_to_the_whole(
    model: Volume | Slab, first: Decimal, more: list[Decimal]
) -> None:
    parts, used = [marginal(model, d(0), first)], first
    for quantity in more:
        parts.append(marginal(model, used, quantity))
        used += quantity
    assert plus(parts) == total(model.lines(used))


@always
@given(tier_lists(), st.integers(0, 5))
def test_a_volume_price_jumps_only_past_a_bound(held: tuple[Tier, ...], index: int) -> None:
    index = min(index, len(held) - 1)
    bound = held[index].up_to
    model = Volume(held)
    if bound is None:
        return
    (at_bound,), (beyond,) = model.lines(bound), model.lines(bound + d("0.001"))
    assert (at_bound.tier, beyond.tier) == (index, index + 1)
    assert beyond.unit_amount == held[index + 1].unit_amount


@always
@given(
    models,
    quantities,
    st.lists(st.builds(Discount, amounts, st.booleans()), max_size=3),
    st.tuples(st.none() | amounts, st.none() | amounts, amounts),
)
def test_lines_and_adjustments_add_up_to_the_amount(
    model: Volume | Slab | FlatFee | Package,
    used: Decimal,
    discounts: list[Discount],
    limits: tuple[Decimal | None, Decimal | None, Decimal],
) -> None:
    terms = Terms(
        discounts=tuple(discounts), maximum=limits[0], minimum=limits[1], credits=limits[2]
    )
    charge = rate(price(model), Measurement(used), terms)
    assert total(charge.lines) + plus(a.amount for a in charge.adjustments) == charge.amount
    assert charge.amount >= 0
    assert charge.amount == charge.amount.quantize(d("0.01"))


@always
@given(st.lists(st.tuples(models, quantities), max_size=4), st.lists(amounts, max_size=2))
def test_an_invoice_is_the_sum_of_its_lines_and_the_same_bytes_again(
    held: list[tuple[Volume | Slab | FlatFee | Package, Decimal]], off: list[Decimal]
) -> None:
    def made() -> Invoice:
        charges = [rate(price(m, f"p{i}"), Measurement(q)) for i, (m, q) in enumerate(held)]
        lines = [InvoiceLine(str(i), c, MARCH) for i, c in enumerate(charges)]
        return Invoice(
            "i", "c", "usd", MARCH, discounted(lines, [Discount(a) for a in off], "usd")
        )

    invoice = made()
    assert invoice.subtotal == plus(line.amount for line in invoice.lines)
    assert invoice.total == plus(line.due for line in invoice.lines)
    assert invoice.total >= 0
    with localcontext(prec=4):
        assert made().to_bytes() == invoice.to_bytes()


@always
@given(st.lists(amounts, max_size=6), amounts.filter(bool))
def test_a_commitment_loses_and_doubles_nothing(costs: list[Decimal], promised: Decimal) -> None:
    charges = [UsageCharge(str(i), c, d(1)) for i, c in enumerate(costs)]
    found = settle(charges, Commitment(promised, true_up=True))
    assert plus(p.amount for p in found.portions) == plus(costs)
    assert found.utilized <= promised
    assert found.total == max(plus(costs), promised)


@always
@given(st.lists(st.integers(-100, 500), max_size=6), st.integers(0, 10**6))
def test_a_split_amount_always_adds_up(weights: list[int], cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    parts = allocated(amount, [Decimal(abs(w)) for w in weights], "usd")
    assert plus(parts) == (amount if weights else 0)


@always
@given(st.lists(amounts, max_size=5), amounts.filter(bool))
def test_a_debit_takes_exactly_its_amount(held: list[Decimal], amount: Decimal) -> None:
    credits_ = [Credit(str(i), a, i % 2 or None) for i, a in enumerate(held)]
    taken = draw(credits_, amount, START, overdraw=True)
    assert plus(t.amount for t in taken) == min(amount, plus(held))
    left = {c.credit_id: c.amount for c in credits_}
    assert all(0 < t.amount <= left[t.credit_id] for t in taken)


def made_event(key: int, minute: int, tokens: int, user: int) -> Event:
    """An event of March."""
    return event(f"e{key}", minute / 60, tokens=tokens, user=f"u{user}")


events = st.lists(
    st.builds(
        made_event,
        st.integers(0, 40),
        st.integers(0, 31 * 24 * 60 - 1),
        st.integers(0, 1000),
        st.integers(0, 3),
    ),
    max_size=30,
    unique_by=lambda e: e.event_id,
)
kinds = st.sampled_from([k for k in AggregationType if k is not k.SUM_WITH_MULTIPLIER])


@always
@given(events, kinds, st.integers(0, 30), st.randoms(use_true_random=False))
def test_an_answer_from_rollups_in_any_order_is_the_answer_from_raw_events(
    held: list[Event], kind: AggregationType, cut: int, random: Random
) -> None:
    field = "user" if kind is AggregationType.COUNT_UNIQUE else "tokens"
    one = meter(kind, field)
    samples = list(one.samples(held))
    raw = measure(one.aggregation, samples, MARCH).value
    parts = [tally(samples[:cut]), *(tally([s]) for s in samples[cut:])]
    random.shuffle(parts)
    whole = Tally()
    for part in parts:
        whole = whole.merge(part)
    assert whole.value(kind, MARCH) == raw
    assert measure(one.aggregation, reversed(samples), MARCH).value == raw


@always
@given(events, st.sampled_from(Window), zones)
def test_windows_split_the_events_without_loss(
    held: list[Event], window: Window, zone: tzinfo
) -> None:
    one = meter(AggregationType.COUNT, "")
    grid = Grid(window, zone)
    samples = list(one.samples(held))
    split = grid.split(samples)
    assert sorted(s.event_id for part in split.values() for s in part) == sorted(
        s.event_id for s in samples
    )
    for start, part in split.items():
        assert all(s.timestamp in grid.at(start) for s in part)


names = st.sampled_from(["a", "b"])
filtered = st.dictionaries(st.sampled_from(["model", "size", "quality"]), names, max_size=3)


@always
@given(st.lists(filtered, max_size=5), st.lists(filtered, max_size=8))
def test_no_event_is_billed_twice_and_prices_that_pass_the_check_never_tie(
    wanted: list[dict[str, str]], seen: list[dict[str, str]]
) -> None:
    prices: list[Price] = [price(FlatFee(d(1)), f"p{i}", **f) for i, f in enumerate(wanted)]
    try:
        check_unambiguous(prices)
    except RatingError:
        return
    held = [event(f"e{i}", **properties) for i, properties in enumerate(seen)]
    found = assign(meter(AggregationType.COUNT, ""), prices, held)
    billed = [s.event_id for part in found.by_price.values() for s in part]
    assert sorted(billed + [s.event_id for s in found.unpriced]) == [e.event_id for e in held]
    assert all(choose(prices, e.properties) is not None for e in held if e.event_id in billed)


recurring = st.sampled_from([p for p in BillingPeriod if p is not p.ONETIME])
moments = st.integers(0, 5 * 365 * 24 * 60).map(lambda m: START + timedelta(minutes=m))


@always
@given(moments, moments, recurring, st.integers(1, 3), zones)
def test_billing_periods_follow_each_other_and_end_at_the_end(
    start: datetime, anchor: datetime, period: BillingPeriod, count: int, zone: tzinfo
) -> None:
    cycle = Cycle(anchor, period, count, zone)
    end = start + timedelta(days=200)
    held = list(cycle.periods(start, end))
    assert held[0].start == start
    assert held[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(held))
    assert all(p.length > timedelta(0) for p in held)


@always
@given(st.decimals(0, 1, places=4), amounts)
def test_two_parts_of_a_fixed_item_make_the_whole(share: Decimal, amount: Decimal) -> None:
    item = fixed(FlatFee(amount))
    parts = [rate(item, Measurement(d(1)), Terms(share=s)).amount for s in (share, 1 - share)]
    whole = rate(item, Measurement(d(1))).amount
    assert abs(plus(parts) - whole) <= d("0.01")


def test_a_tiered_price_is_volume_or_slab() -> None:
    assert {c.__name__ for c in Tiered.__subclasses__()} == {"Volume", "Slab"}
