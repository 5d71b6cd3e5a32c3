"""Names that are no text, or no clean one, cost no event: they are written as text."""

from __future__ import annotations

import enum
import uuid
from typing import Any

import pytest

import tokenmeter
from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_openai_lifecycle import ASK, only
from tokenmeter import ConfigurationError, TokenMeter

URL = "https://api.openai.com/v1/chat/completions"
ID = uuid.UUID(int=7)


class Plan(enum.StrEnum):
    FREE = "free"


class Tier(str, enum.Enum):  # noqa: UP042 - as older code writes it
    GOLD = "gold"


NAMES: list[tuple[Any, str | None]] = [
    (5, "5"),
    (0, "0"),
    (ID, str(ID)),
    (Plan.FREE, "free"),
    (Tier.GOLD, "gold"),
    (True, "true"),
    (b"acme", "acme"),
    ("a\x00b", "a?b"),
    ("\ud800", "?"),
    ("Müller\n", "Müller\n"),
    ("", None),
    (None, None),
]
named = pytest.mark.parametrize(("given", "written"), NAMES, ids=repr)


def call() -> None:
    Player([wire.chat()]).client().post(URL, json=ASK)


@named
@pytest.mark.parametrize("package", [True, False])
def test_a_name_is_written_as_text(
    meter: TokenMeter, given: Any, written: str | None, package: bool
) -> None:
    attribute: Any = tokenmeter.attribute if package else meter.attribute
    with attribute(customer=given, feature=given, environment=given, tags={"t": given, 7: "x"}):
        call()
    event = only(meter)
    assert event.external_customer_id == (written or "unattributed")
    for name in ("feature", "environment", "tag_t"):
        assert event.properties.get(name) == written
    assert event.properties["tag_7"] == "x"
    assert meter.faults == 0


@named
def test_the_name_of_a_run_is_written_as_text(
    meter: TokenMeter, given: Any, written: str | None
) -> None:
    for run in (tokenmeter.run, meter.run):
        with run(given) as opened:
            call()
        assert opened.run_id == written or (written is None and opened.run_id.startswith("run_"))
        assert [event.properties["run_id"] for event in opened.events] == [opened.run_id]


@named
def test_a_decorated_functions_names_are_written_as_text(
    meter: TokenMeter, given: Any, written: str | None
) -> None:
    @meter.metered(customer=given, feature=lambda: given)
    def asks() -> None:
        call()

    asks()
    event = only(meter)
    assert event.external_customer_id == (written or "unattributed")
    assert event.properties.get("feature") == written


def test_tags_that_are_none_are_refused(meter: TokenMeter) -> None:
    tags: Any = "team"
    with pytest.raises(ConfigurationError, match="must be a mapping"), meter.attribute(tags=tags):
        pass
