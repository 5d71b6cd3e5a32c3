"""A pending job as the command line shows it: its age, whose it is, what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.delivery.jobs import NAME
from tokenmeter.errors import TokenmeterError
from tokenmeter.event import parse_timestamp
from tokenmeter.pricing.asked import Asked
from tokenmeter.pricing.preview import Terms, quote
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.priced import amount_text
from tokenmeter.providers.media import asked_of, whole
from tokenmeter.usage import METRICS, Number, Usage


@dataclass(frozen=True, slots=True)
class Waiting:
    """One job whose end has not been seen."""

    provider: str
    job_id: str
    submitted: str
    age_s: int
    customer: str
    event_name: str
    model: str | None
    estimate_usd: tuple[str, str] | None  # low and high; None where no price is known
    properties: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def waiting_of(job: Mapping[str, Any], book: PriceBook, now: datetime) -> Waiting:
    """Describe a job of the store."""
    submitted: Mapping[str, Any] = job["submitted"]
    properties: Mapping[str, Any] = submitted["properties"]
    event_name = str(submitted.get(NAME, "api_calls"))
    at = parse_timestamp(submitted["timestamp"])
    return Waiting(
        provider=job["provider"],
        job_id=job["job_id"],
        submitted=submitted["timestamp"],
        age_s=max(0, int((now - at).total_seconds())),
        customer=submitted["external_customer_id"],
        event_name=event_name,
        model=properties.get("model"),
        estimate_usd=_estimate(event_name, properties, book, now),
        properties=properties,
    )


def _estimate(
    event_name: str, properties: Mapping[str, Any], book: PriceBook, now: datetime
) -> tuple[str, str] | None:
    """Quote what was asked for, as a preview of the same call would."""
    outputs = whole(properties.get("n") or properties.get("sample_count")) or 1
    numbers = {m: _number(v) for m, v in properties.items() if m in METRICS - {"request_count"}}
    asked = Asked(
        provider=str(properties["provider"]),
        model=properties.get("model"),
        event_name=event_name,
        operation=str(properties.get("operation", "")),
        dimensions={
            n: v for n, v in properties.items() if isinstance(v, str) and n not in METRICS
        },
        usage=asked_of(Usage(numbers), outputs),
        outputs=outputs,
    )
    try:
        cost = quote(asked, Terms(now), book).cost
    except TokenmeterError:  # what was asked for makes no sense: the provider will say so
        return None
    return None if cost is None else (amount_text(cost.low.amount), amount_text(cost.high.amount))


def _number(value: object) -> Number:
    """A journal writes decimals as texts."""
    return value if isinstance(value, int) else Decimal(str(value))
