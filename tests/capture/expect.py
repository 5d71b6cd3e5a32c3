"""Compare the events of a recorded exchange with what the corpus expects."""

from __future__ import annotations

from collections.abc import Sequence

from tests.corpus import FREE_APIS, Exchange
from tokenmeter import Event


def check(exchange: Exchange, events: Sequence[Event]) -> None:
    """Fail unless the events say what the recording must yield."""
    expected = exchange.expected
    if exchange.api in FREE_APIS:
        assert not [e for e in events if e.properties.get("billable") != "false"]
        return
    own = [event for event in events if "part" not in event.properties]
    if not own:
        assert not expected["usage_reported"], "usage was reported, but there is no event"
        assert not exchange.metrics(), "metrics were expected, but there is no event"
        return
    assert len(own) == 1, f"{len(own)} events for one exchange"
    _check_event(exchange, own[0])


def _check_event(exchange: Exchange, event: Event) -> None:
    expected, found = exchange.expected, event.properties
    assert found["provider"] == exchange.provider
    if expected["model"] is not None:
        assert found.get("model") == expected["model"]
    wrong = {
        metric: (number, found.get(metric))
        for metric, number in exchange.metrics().items()
        if found.get(metric, 0) != number
    }
    assert not wrong, f"(expected, found): {wrong}"
    assert found["outcome"] == ("failed" if expected["status"] == "failed" else "success")
    assert found["http_status"] == str(expected["http_status"])
    if expected["usage_reported"]:
        assert found["usage_source"] == "reported"
    elif expected["status"] != "failed":
        assert found["usage_source"] in {"missing", "estimated"}
