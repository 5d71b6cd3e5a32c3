"""The values: usage, event, money, attribution. Exact, immutable, and the same after a journal."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import dataclasses
import json
import pickle
import threading
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import METRICS, ConfigurationError, CurrencyError, Event, Money, Run, Usage
from tokenmeter.attribution import (
    NOTES_MAX,
    RUN_EVENTS_MAX,
    Attribution,
    Note,
    Repeats,
    current_scope,
    entered,
    inner_scope,
    innermost,
)
from tokenmeter.event import parse_timestamp, timestamp_text
from tokenmeter.lines import to_line
from tokenmeter.money import minor_units

WHEN = datetime(2026, 11, 21, 10, 0, 0, 123_000, tzinfo=UTC)
METRIC = st.sampled_from(sorted(METRICS))
NUMBER = st.one_of(
    st.integers(0, 10**18), st.decimals(0, 10**9, places=6, allow_nan=False, allow_infinity=False)
)
USAGE = st.dictionaries(METRIC, NUMBER, max_size=6).map(Usage)


def test_a_metric_nobody_reported_is_absent_and_a_zero_is_not() -> None:
    usage = Usage(input_tokens=0)
    assert usage.input_tokens == 0
    assert usage.output_tokens is None
    assert "output_tokens" not in usage
    with pytest.raises(KeyError):
        usage["output_tokens"]
    with pytest.raises(AttributeError, match="'pictures' is not a metric"):
        _ = usage.pictures
    assert not Usage()
    assert usage, "a reported zero is a report"


def test_the_later_report_wins_and_two_things_add_up() -> None:
    first, second = Usage(input_tokens=5, output_tokens=1), Usage(output_tokens=7)
    assert first | second == {"input_tokens": 5, "output_tokens": 7}
    assert first + second == {"input_tokens": 5, "output_tokens": 8}
    assert first == {"input_tokens": 5, "output_tokens": 1}, "neither changes"
    assert first | {} is first
    assert repr(second) == "Usage(output_tokens=7)"
    assert hash(Usage(a=1, b=2)) == hash(Usage(b=2, a=1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(first=USAGE, second=USAGE, third=USAGE)
def test_adding_usage_is_exact_in_any_order(first: Usage, second: Usage, third: Usage) -> None:
    assert first + second == second + first
    assert (first + second) + third == first + (second + third)
    assert first + Usage() == first
    assert (first | second) | third == first | (second | third)
    assert pickle.loads(pickle.dumps(first)) == first


def event_of(usage: Usage, **dimensions: str) -> Event:
    return Event("text_generated", "evt_1", "acme", WHEN, {**dimensions, **usage})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(usage=USAGE, dimension=st.text())
def test_an_event_is_the_same_after_the_journal(usage: Usage, dimension: str) -> None:
    event = event_of(usage, model=dimension, provider="7")
    for written in (event.to_dict(), event.to_record()):
        read = Event.from_dict(json.loads(to_line(written)))
        assert read == event
        assert {k: type(v) for k, v in read.usage.items()} == {
            k: type(v) for k, v in event.usage.items()
        }
    assert to_line(event.to_record()).count(b"\n") == 1


def test_an_event_is_written_as_flexprice_takes_it() -> None:
    event = event_of(Usage(image_count=2, time_seconds=Decimal("0.10")), size="1024x1024")
    assert event.to_dict() == {
        "event_name": "text_generated",
        "external_customer_id": "acme",
        "event_id": "evt_1",
        "source": "tokenmeter",
        "timestamp": "2026-11-21T10:00:00.123Z",
        "properties": {"size": "1024x1024", "image_count": 2, "time_seconds": "0.10"},
    }
    assert event.usage == {"image_count": 2, "time_seconds": Decimal("0.1")}
    more = event.with_properties({"cost_usd": "0.17"})
    assert more.properties["cost_usd"] == "0.17"
    assert "cost_usd" not in event.properties
    assert more.usage == event.usage, "a cost is no usage"


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        event_of(Usage()).event_id = "evt_2"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (WHEN, "2026-11-21T10:00:00.123Z"),
        (WHEN.astimezone(timezone(timedelta(hours=-5))), "2026-11-21T10:00:00.123Z"),
        (WHEN.astimezone(timezone.utc), "2026-11-21T10:00:00.123Z"),  # noqa: UP017
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000Z"),
        (datetime(2026, 1, 1, microsecond=999_999, tzinfo=UTC), "2026-01-01T00:00:00.999Z"),
    ],
)
def test_a_timestamp_is_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert timestamp_text(moment) == text
    assert parse_timestamp(text) - moment < timedelta(milliseconds=1)
    assert parse_timestamp(text).tzinfo is UTC


def test_a_time_without_a_zone_is_utc() -> None:
    assert parse_timestamp("2026-11-21T10:00:00.123") == WHEN
    assert parse_timestamp("2026-11-21T12:00:00.123+02:00") == WHEN


AMOUNT = st.decimals(-(10**9), 10**9, places=4, allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(left=AMOUNT, right=AMOUNT)
def test_money_is_exact_and_rounds_by_less_than_half_a_cent(left: Decimal, right: Decimal) -> None:
    assert Money(left) + Money(right) == Money(left + right)
    assert Money(left) + Money(right) - Money(right) == Money(left)
    assert (Money(left) < Money(right)) == (left < right)
    assert abs(Money(left).rounded().amount - left) <= Decimal("0.005")


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.005", "usd", "0.01 USD"),
        ("0.0049", "usd", "0.00 USD"),
        ("-0.005", "usd", "-0.01 USD"),
        ("0.5", "jpy", "1 JPY"),
        ("0.4", "JPY", "0 JPY"),
        ("1.0005", "kwd", "1.001 KWD"),
        ("1.00005", "clf", "1.0001 CLF"),
        ("2", "xxx", "2.00 XXX"),
    ],
)
def test_money_rounds_half_up_in_the_currencys_own_exponent(
    amount: str, currency: str, rounded: str
) -> None:
    assert str(Money(Decimal(amount), currency).rounded()) == rounded
    assert minor_units(currency) == minor_units(currency.upper())


def test_two_currencies_do_not_mix() -> None:
    dollar, yen = Money(Decimal(1)), Money(Decimal(1), "jpy")
    for mix in (Money.__add__, Money.__sub__, Money.__lt__):
        with pytest.raises(CurrencyError, match="cannot combine USD and JPY; convert one"):
            mix(dollar, yen)
    assert dollar + Money(Decimal(2), "USD") == Money(Decimal(3))
    assert dollar * 3 == Money(Decimal(3))
    assert Money(Decimal(1), "USD") == dollar
    assert yen * Decimal("0.5") == Money(Decimal("0.5"), "jpy")


def test_the_inner_attribution_lies_over_the_outer() -> None:
    outer = Attribution("acme", "chat", "prod", {"team": "a", "tier": "x"})
    inner = Attribution(feature="search", tags={"team": "b"})
    both = outer.under(inner)
    assert both == Attribution("acme", "search", "prod", {"team": "b", "tier": "x"})
    assert outer.under(Attribution()) == outer


def test_a_scope_is_shared_by_tasks_and_left_on_the_way_out() -> None:
    async def child() -> Any:
        return current_scope()

    async def parent() -> None:
        with entered(inner_scope(Attribution("acme"))) as scope:
            assert await asyncio.create_task(child()) is scope
            with entered(inner_scope(Attribution(feature="f"))) as inner:
                assert inner.attribution == Attribution("acme", "f")
                assert list(inner.chain()) == [inner, scope]
        assert current_scope() is None

    contextvars.Context().run(asyncio.run, parent())


def test_a_new_thread_begins_without_a_scope_and_a_copied_context_has_it() -> None:
    seen: list[Any] = []
    with entered(inner_scope(Attribution("acme"))) as scope:
        copied = contextvars.copy_context()
        for target in (lambda: seen.append(current_scope()), lambda: copied.run(_look, seen)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [None, scope]


def _look(seen: list[Any]) -> None:
    seen.append(current_scope())


def test_notes_left_over_go_to_the_scope_outside_and_have_a_limit() -> None:
    repeats = Repeats(b"f", Attribution(), None, object())

    def outside() -> None:
        with entered(inner_scope(Attribution("acme"))) as outer:
            with entered(inner_scope()) as inner:
                inner.leave_note(Note(repeats, "call", 1, "evt", 0.0))
            assert inner.notes == []
            assert [note.call_id for note in outer.notes] == ["call"]
            for number in range(NOTES_MAX):
                outer.leave_note(Note(repeats, f"call {number}", 1, "evt", 0.0))
            assert len(outer.notes) == NOTES_MAX
            assert outer.notes[0].call_id == "call 0", "the oldest is forgotten"
        assert len(innermost().notes) == NOTES_MAX

    contextvars.Context().run(outside)


@pytest.mark.parametrize("amount", ["0.10", " 0.10 ", Decimal("0.1")])
def test_money_of_a_text_is_exact_and_adds_up(amount: str | Decimal) -> None:
    """Two texts had been joined: 0.10 and 0.20 was 0.100.20."""
    assert Money(amount) + Money("0.20") == Money("0.3")
    assert str(Money(amount, "EUR") * 3) in {"0.30 EUR", "0.3 EUR"}
    assert Money(2).amount == Decimal(2)


@pytest.mark.parametrize("amount", [0.1, "ten", "NaN", None, True])
def test_money_of_what_is_no_exact_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"an int or a text such as '0\.10'"):
        Money(amount)


def cost_of(run: Run) -> Money | None:
    return run.cost


def test_a_run_adds_up_its_events_and_knows_what_it_does_not_know() -> None:
    prices: dict[str, Decimal | None] = {"evt_1": Decimal("0.1"), "evt_2": Decimal("0.2")}
    run = Run("req-1", price=lambda event: prices.get(event.event_id))
    assert not run.usage
    assert cost_of(run) == Money(Decimal(0))
    run.add(event_of(Usage(input_tokens=5)))
    run.add(dataclasses.replace(event_of(Usage(input_tokens=2, image_count=1)), event_id="evt_2"))
    assert run.usage == {"input_tokens": 7, "image_count": 1}
    assert cost_of(run) == Money(Decimal("0.3"))
    run.add(dataclasses.replace(event_of(Usage()), event_id="evt_3"))
    assert cost_of(run) is None, "one call has no known price"
    assert Run("x", [event_of(Usage())]).cost is None


def test_a_run_keeps_a_limited_number_of_events_and_counts_the_others() -> None:
    run = Run("req-1")
    for number in range(RUN_EVENTS_MAX + 2):
        run.add(dataclasses.replace(event_of(Usage()), event_id=f"evt_{number}"))
    assert len(run.events) == RUN_EVENTS_MAX
    assert run.events_dropped == 2


@pytest.mark.parametrize("odd", ["\ud800", "é\u2028\x7f", 2**80, Decimal("1E+3")])
def test_a_line_takes_what_a_journal_may_hold(odd: str | int | Decimal) -> None:
    line = to_line({"properties": {"odd": odd}})
    assert line.count(b"\n") == 1
    written = odd if not isinstance(odd, Decimal) else str(odd)
    assert json.loads(line) == {"properties": {"odd": written}}


def test_an_event_that_holds_other_properties_is_an_event_like_any_other() -> None:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    first = Event("text_generated", "evt_1", "cust_001", moment, {"input_tokens": 1}, "mine")
    other = first.holding({"input_tokens": 2})
    assert type(other) is Event
    assert other == dataclasses.replace(first, properties={"input_tokens": 2})
    assert first.properties == {"input_tokens": 1}
    assert repr(other) == repr(dataclasses.replace(first, properties={"input_tokens": 2}))
    assert pickle.loads(pickle.dumps(other)) == copy.deepcopy(other) == other
    with pytest.raises(dataclasses.FrozenInstanceError):
        other.event_id = "evt_2"  # type: ignore[misc]
