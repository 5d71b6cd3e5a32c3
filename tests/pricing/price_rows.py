"""The rows of media_prices.json as events and as price lists. Read in place, never copied."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.pricing.events import event
from tokenmeter.event import Event, Property

PATH = Path(__file__).parents[3] / "shared" / "facts" / "media_prices.json"
MANY = 1_000_000  # tokens, of a row that prices them one by one
SEVERAL = 10  # of anything else; enough to be above every minimum charge

Row = dict[str, Any]


def price_rows() -> list[Row]:
    """Every row that has a price; none if the file is missing."""
    if not PATH.is_file():
        return []
    rows = json.loads(PATH.read_text(encoding="utf-8"))
    return [{"number": number, **row} for number, row in enumerate(rows) if row["amount_usd"]]


def params() -> list[Any]:
    """The same, as test parameters named by number, model and metric."""
    return [
        pytest.param(row, id=f"{row['number']}-{row['model']}-{row['metric']}")
        for row in price_rows()
    ]


def usage(row: Row) -> dict[str, Property]:
    """The usage that this row alone prices."""
    metric, modality = row["metric"], _first(row["filters"].get("modality", ""))
    if metric == "input_tokens":
        return {"input_tokens": MANY, **_part("input", modality)}
    if metric == "cached_input_tokens":
        cached = _part("input", modality) | _part("cache_read", modality)
        return {"input_tokens": MANY, "cache_read_tokens": MANY, **cached}
    if metric == "output_tokens" and modality == "thinking":
        return {"output_tokens": MANY, "reasoning_tokens": MANY, "output_image_tokens": 0}
    if metric == "output_tokens":
        return {"output_tokens": MANY, **_part("output", modality)}
    return {metric: SEVERAL}


def made(row: Row) -> Event:
    """An event by this row's provider, model, metric and dimensions."""
    filters = row["filters"].items()
    said: dict[str, Property] = {k: _first(v) for k, v in filters if k != "modality"}
    known: dict[str, Property] = {"provider": row["provider"], "model": row["model"]}
    return event(**{**said, **known, **usage(row)})


def cost(row: Row) -> Decimal:
    """What that event must cost."""
    quantity = MANY if "_tokens" in row["metric"] and row["metric"] != "video_tokens" else SEVERAL
    return Decimal(row["amount_usd"]) * quantity


def _first(values: Any) -> str:
    return str(values[0] if isinstance(values, list) else values)


def _part(direction: str, modality: str) -> dict[str, Property]:
    return {f"{direction}_{modality}_tokens": MANY} if modality else {}
