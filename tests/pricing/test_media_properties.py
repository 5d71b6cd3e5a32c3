"""Whatever a media event holds: never an error, never less than nothing, n cost n times one."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.events import BOOK, NOON, event
from tokenmeter.event import Property
from tokenmeter.pricing.media_quote import quote_rows
from tokenmeter.pricing.media_rows import Row
from tokenmeter.pricing.pricebook import price_event

ROWS = BOOK.media.rows
PLAIN = [
    row
    for row in ROWS
    if row.price is not None
    and row.basis != "extra"
    and row.price_max is None
    and row.minimum is None
]
METRICS = sorted({row.metric for row in ROWS})
NUMBERS = st.one_of(st.integers(-5, 10**6), st.integers(), st.decimals())
WORDS = st.sampled_from(
    sorted({value for row in ROWS for values in row.when.values() for value in values} | {"*", ""})
)
ANYTHING = st.one_of(NUMBERS, st.booleans(), st.text(max_size=5), WORDS)
NAMES = sorted({name for row in ROWS for name in row.when} | {"size", "mode", "input_type"})
FACTS = st.fixed_dictionaries(
    {
        "provider": st.one_of(st.sampled_from(sorted({row.provider for row in ROWS})), ANYTHING),
        "model": st.one_of(st.sampled_from(sorted({row.model for row in ROWS})), ANYTHING),
    },
    optional={
        **dict.fromkeys([*NAMES, *METRICS, "request_model"], ANYTHING),
        "provider_units": ANYTHING,
        "provider_credits": ANYTHING,
        "outcome": st.sampled_from(["success", "failed"]),
        "http_status": st.sampled_from(["200", "500", ""]),
    },
)


@settings(max_examples=400, deadline=None)
@given(FACTS)
def test_any_media_event_is_priced_or_says_why_not(facts: dict[str, Property]) -> None:
    properties = price_event(event(NOON, "video_generated", **facts), BOOK).properties
    cost = properties.get("cost_usd")
    if properties["cost_source"] == "unpriced":
        assert cost is None
        assert properties["unpriced_reason"]
    else:
        assert isinstance(cost, str)
        assert len(cost) < 80
        assert Decimal(cost) >= 0


@settings(max_examples=200, deadline=None)
@given(FACTS)
def test_any_media_call_has_a_quote_that_holds(facts: dict[str, Property]) -> None:
    known = {k: v for k, v in facts.items() if k not in ("provider", "model")}
    provider, model = str(facts["provider"]), str(facts["model"])
    quote = quote_rows(provider, model, known, at=NOON, prices=BOOK.media)
    if quote is None or quote.low is None or quote.high is None:
        assert quote is None or quote.notes
        return
    assert 0 <= quote.low <= quote.high
    made = event(NOON, "", **known, provider=provider, model=model)
    cost = BOOK.media.price(made)
    if quote.exact and cost is not None and cost.computed is not None:
        assert quote.low == cost.computed


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLAIN), st.integers(0, 10**6))
def test_n_of_a_thing_cost_n_times_one(row: Row, count: int) -> None:
    one, many = (cost_of(row, quantity) for quantity in (1, count))
    assert abs(many - one * count) <= one * count * Decimal("1e-27")  # CNY at 7.0 has no end


def cost_of(row: Row, quantity: int) -> Decimal:
    """What so many cost by exactly the dimensions of a row."""
    said: dict[str, Property] = {name: min(values) for name, values in row.when.items()}
    named: dict[str, Property] = {
        "provider": row.provider,
        "model": row.model.removesuffix("*") or "any",
        row.metric: quantity,
    }
    made = event(NOON, "image_generated", **said, **named)
    priced = BOOK.media.estimate(made) if row.basis == "estimate" else BOOK.media.price(made)
    assert priced is not None
    assert priced.computed is not None
    return priced.computed
