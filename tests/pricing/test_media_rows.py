"""Every priced row of the shared price research: an event of that row costs that row."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.pricing.events import BOOK, NOON, event
from tests.pricing.price_rows import Row, cost, made, params, price_rows, usage
from tokenmeter.pricing.media_quote import quote_rows
from tokenmeter.pricing.pricebook import PriceBook

# What the studio states and no provider does: our lists say what is billed, the bundled sheet
# `studio` says what the row says.
STATED = {
    3: "seed: one rate for all input; the list splits text and image",
    19: "a sell price: Kling's own list is in units",
    20: "a sell price: Kling's own list is in units",
    24: "credits at 1,000 for a dollar; World Labs sells 1,250",
    25: "credits at 1,000 for a dollar; World Labs sells 1,250",
    26: "credits at 1,000 for a dollar; World Labs sells 1,250",
    27: "credits at 1,000 for a dollar; World Labs sells 1,250",
    28: "a placeholder in somebody's code",
    29: "a placeholder in somebody's code: zero",
}
# Rows of the same file that price the same thing otherwise, as the default lists do.
CONTRADICTING = {3: 282, 24: 459, 25: 463, 26: 458, 27: 462}
# Rows of a list that has been replaced: right for events of before.
REPLACED = {
    7: datetime(2026, 8, 21, tzinfo=UTC),
    8: datetime(2026, 8, 21, tzinfo=UTC),
    17: datetime(2026, 4, 7, tzinfo=UTC),
    18: datetime(2026, 4, 7, tzinfo=UTC),
}
STUDIO = PriceBook("studio")
NUMBERED = re.compile(r"^\| (\d+(?:, \d+)*) \|", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "prices.md"


def book_of(row: Row) -> PriceBook:
    """The price book that says what the row says."""
    return STUDIO if row["number"] in STATED else BOOK


@pytest.mark.skipif(not price_rows(), reason="no price research")
@pytest.mark.parametrize("row", params())
def test_an_event_of_a_row_costs_that_row(row: Row) -> None:
    until = REPLACED.get(row["number"])
    moment = NOON if until is None else until - timedelta(seconds=1)
    made_then = replace(made(row), timestamp=moment)
    assert book_of(row).price(made_then).computed == cost(row)
    assert (BOOK.price(made_then).computed == cost(row)) is (row["number"] not in STATED)
    if until is not None:
        now = BOOK.price(replace(made(row), timestamp=until)).computed
        assert now is not None
        assert now < cost(row)


def test_the_docs_name_each_row_that_only_the_studio_states_and_no_other() -> None:
    stated = NUMBERED.findall(PAGE.read_text(encoding="utf-8"))
    assert [int(number) for numbers in stated for number in numbers.split(", ")] == [*STATED]


@pytest.mark.skipif(not price_rows(), reason="no price research")
@pytest.mark.parametrize(("stated", "other"), CONTRADICTING.items())
def test_an_event_that_only_the_studio_prices_so_costs_what_another_row_says(
    stated: int, other: int
) -> None:
    rows = {row["number"]: row for row in price_rows()}
    assert BOOK.price(made(rows[stated])).computed == cost(rows[other]) != cost(rows[stated])


@pytest.mark.skipif(not price_rows(), reason="no price research")
@pytest.mark.parametrize("row", [row for row in params() if row.values[0].get("origin") == "seed"])
def test_with_the_studios_sheet_each_price_of_its_seed_document_holds_today(row: Row) -> None:
    assert STUDIO.price(made(row)).computed == cost(row)


@pytest.mark.skipif(not price_rows(), reason="no price research")
@pytest.mark.parametrize("row", params())
def test_a_quote_is_exact_where_an_event_of_a_row_is_priced_by_list(row: Row) -> None:
    facts = dict(made(row).properties)
    provider, model = str(facts.pop("provider")), str(facts.pop("model"))
    quote = quote_rows(provider, model, facts, at=event().timestamp, prices=BOOK.media)
    priced = BOOK.price(made(row))
    if priced.version != BOOK.media.version or priced.computed is None:
        return  # tokens, or no price
    assert quote is not None
    assert (quote.low, quote.high) == (priced.computed, priced.computed)
    assert quote.exact or quote.estimate
    assert all(source.origin.source for source in quote.rows)


@pytest.mark.skipif(not price_rows(), reason="no price research")
@pytest.mark.parametrize("row", [row for row in params() if row.values[0]["number"] in STATED])
def test_a_file_of_the_users_own_can_say_what_we_do_not(row: Row, tmp_path: Path) -> None:
    facts = row["filters"].items()
    when = "".join(f"{k}: {v}, " for k, v in facts if k != "modality")
    metric = list(usage(row))[-1]  # the innermost: the cached tokens of the cached input
    path = tmp_path / "own.yaml"
    path.write_text(
        f"""
lists:
  - provider: {row["provider"]}
    source: mine
    as_of: 2026-11-21
    prices:
      - {{model: "{row["model"]}", metric: {metric}, when: {{{when}}}, price: {row["amount_usd"]}}}
"""
    )
    assert PriceBook(path).price(made(row)).computed == cost(row)
