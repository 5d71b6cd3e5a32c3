"""Every priced row of the shared price research: the preview is what the event will cost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pricing.events import NOON
from tests.pricing.price_rows import Row, cost, made, params, price_rows
from tests.pricing.test_media_rows import REPLACED, book_of
from tokenmeter.money import Money
from tokenmeter.pricing.keywords import asked_by_keywords
from tokenmeter.pricing.preview import Terms, quote
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.quote import Quote

pytestmark = pytest.mark.skipif(not price_rows(), reason="no price research")


def previewed(book: PriceBook, provider: str, model: str, **said: Any) -> Quote:
    asked = asked_by_keywords(provider, model, said, book.media)
    return quote(asked, Terms(NOON), book)


@pytest.mark.parametrize("row", params())
def test_the_preview_of_stated_quantities_is_the_cost_of_their_event(row: Row) -> None:
    book = book_of(row)
    facts: dict[str, Any] = dict(made(row).properties)
    event_cost = book.price(made(row)).cost
    found = previewed(book, facts.pop("provider"), facts.pop("model"), **facts)
    if event_cost is None:
        assert found.cost is None
        assert found.notes
        return
    assert found.cost is not None
    assert found.low == found.expected == found.high == Money(event_cost)
    if row["number"] not in REPLACED:  # a quote is of today
        assert found.cost.expected.amount == cost(row)


# How the row's quantity is asked for by parameters of the API.
PARAMETERS = {"image_count": "n", "video_seconds": "duration", "world_count": None}


@pytest.mark.parametrize("row", [row for row in params() if row.values[0]["metric"] in PARAMETERS])
def test_the_preview_of_a_request_is_the_cost_of_its_event_where_the_rule_is_exact(
    row: Row,
) -> None:
    book = book_of(row)
    priced = book.price(made(row))
    facts: dict[str, Any] = dict(made(row).properties)
    metric = row["metric"]
    parameter, quantity = PARAMETERS[metric], facts.pop(metric)
    if parameter is not None:
        facts[parameter] = quantity
    found = previewed(book, facts.pop("provider"), facts.pop("model"), **facts)
    if not found.exact or priced.cost is None:
        pytest.skip("an estimate, or no price")
    assert found.expected == Money(priced.cost / (1 if parameter else quantity))
