"""Which tier served a call of Gemini's: one that asked for priority may be served as standard."""

from __future__ import annotations

import pytest

from tests.providers.google_wire import FLASH, HELLO, Json, answer, call, metadata
from tokenmeter.providers import Call, Reading

TIER = "x-gemini-service-tier"


def served(asked: Call, header: str, body: Json) -> str | None:
    """The tier that an event would name, as capture reads an answer with this header."""
    begun = asked.api.read_headers({TIER: header}) if asked.api.read_headers else Reading()
    reading = begun | asked.api.read(body)
    return {**asked.dimensions, **reading.dimensions}.get("service_tier")


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
def test_a_priority_call_that_was_served_as_standard_is_standard(method: str) -> None:
    asked = call(f"{FLASH}:{method}", serviceTier="priority")
    body = answer(metadata(5, 7), HELLO)
    assert served(asked, "Standard", body) == "standard"
    assert served(asked, "priority", body) == "priority"
    for silent in ("", "paid"):
        assert served(asked, silent, body) == "priority"
    said = answer(metadata(5, 7, serviceTier="FLEX"), HELLO)
    assert served(asked, "standard", said) == "flex"


def test_a_call_that_asks_for_no_tier_names_none_and_is_read_the_fast_way() -> None:
    asked = call(f"{FLASH}:generateContent")
    assert served(asked, "standard", answer(metadata(5, 7), HELLO)) is None
    assert asked.api.plain is not None
    assert call(f"{FLASH}:generateContent", serviceTier="flex").api.plain is None


def test_an_interactions_tier_is_the_one_that_it_was_served_at() -> None:
    asked = call("/v1beta/interactions", model="gemini-3.5-flash", service_tier="priority")
    assert served(asked, "standard", {"id": "v1_a", "status": "completed"}) == "standard"
