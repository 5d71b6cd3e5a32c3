"""Which rates hold when: by the event's own UTC day and hour, wherever the machine stands."""

from __future__ import annotations

import time as clock
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from genai_prices.data_units import unit_data
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    TimeOfDateConstraint,
)
from genai_prices.units import UnitRegistry

from tests.pricing.events import priced
from tokenmeter.event import Property
from tokenmeter.pricing.tariff import Tariff, Terms

if TYPE_CHECKING:
    import pytest

O3: dict[str, Property] = {"provider": "openai", "model": "o3", "input_tokens": 10**6}


def test_a_price_changes_at_midnight_utc() -> None:
    assert priced(datetime(2025, 6, 9, 23, 59, 59, tzinfo=UTC), **O3).cost == 10
    assert priced(datetime(2025, 6, 10, tzinfo=UTC), **O3).cost == 2


def test_a_timestamp_in_another_zone_is_priced_by_its_utc_day() -> None:
    assert priced(datetime.fromisoformat("2025-06-10T01:30:00+02:00"), **O3).cost == 10
    assert priced(datetime.fromisoformat("2025-06-09T23:30:00-02:00"), **O3).cost == 2


def test_a_timestamp_without_a_zone_is_utc_whatever_the_machine_s_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    clock.tzset()
    try:
        assert priced(datetime.fromisoformat("2025-06-10T01:30:00"), **O3).cost == 2
    finally:
        monkeypatch.undo()
        clock.tzset()


def test_a_daily_window_in_another_zone_is_kept_in_utc() -> None:
    china = timezone(timedelta(hours=8))
    peak = TimeOfDateConstraint(time(16, tzinfo=china), time(18, tzinfo=china))
    model = ModelInfo(
        id="peaky",
        match=ClauseEquals("peaky"),
        prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1))),
            ConditionalPrice(peak, prices=ModelPrice(input_mtok=Decimal(2))),
        ],
    )
    units = {unit.price_key: unit for unit in UnitRegistry(unit_data).units.values()}
    tariff = Tariff(model, Terms({}), units)
    cards = [tariff.card(datetime(2026, 11, 20, hour, tzinfo=UTC)) for hour in (7, 8, 9, 10)]
    rates = [part[4] for card in cards for part in card.parts({"input_tokens": 10**6})]
    assert rates == [1, 2, 2, 1]
