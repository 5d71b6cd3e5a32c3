"""
Every row of the vectors in the supported areas; TOKENMETER_VECTORS names another file.

An area is supported (an adapter maps its input to our functions) or listed in unsupported.py.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.rating import (
    vector_adapter_engine,
    vector_adapter_pricing,
    vector_adapter_terms,
    vector_adapter_time,
    vector_adapter_usage,
    vector_adapter_wallet,
)
from tests.rating.unsupported import is_left_out
from tests.rating.vectors import PATH, rows, same
from tokenmeter.engine.errors import EngineError
from tokenmeter.rating.errors import RatingError

ADAPTERS = (
    vector_adapter_pricing.ADAPTERS
    | vector_adapter_usage.ADAPTERS
    | vector_adapter_time.ADAPTERS
    | vector_adapter_terms.ADAPTERS
    | vector_adapter_wallet.ADAPTERS
    | vector_adapter_engine.ADAPTERS
)
ROWS = rows()
SUPPORTED = [r for r in ROWS if r["area"] in ADAPTERS]


@pytest.mark.parametrize("row", SUPPORTED, ids=[r["id"] for r in SUPPORTED])
def test_a_row_gives_what_flexprice_expects(row: dict[str, Any]) -> None:
    expected = row["expected"]
    adapter = ADAPTERS[row["area"]]
    if expected.get("error") is True:
        with pytest.raises((RatingError, EngineError)) as refused:
            adapter(row["input"])
        assert expected.get("message_contains", "").lower() in str(refused.value).lower()
    else:
        actual = adapter(row["input"])
        wrong = {k: actual.get(k) for k, v in expected.items() if not same(v, actual.get(k))}
        assert not wrong, f"expected {expected}"


@pytest.mark.skipif(not ROWS, reason=f"{PATH} is not there")
def test_every_area_of_the_file_is_supported_or_listed_with_a_reason() -> None:
    areas = Counter(r["area"] for r in ROWS)
    undecided = {a: n for a, n in areas.items() if a not in ADAPTERS and not is_left_out(a)}
    assert not undecided
    assert not any(map(is_left_out, ADAPTERS))
