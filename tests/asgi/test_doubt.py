"""What becomes of a call while nobody can say whether it may be made."""

from __future__ import annotations

import json
import sqlite3
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import funded_by_token
from tests.asgi.upstream import answering
from tokenmeter import ConfigurationError, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Ask, Enforcement, Limit, Refusal, Refused, Ticket
from tokenmeter.enforcement.gate import Together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenmeter.event import Event

LONG_S = 15.0  # half of what a store itself waits for a lock
PATH = "/v1/chat/completions"
ASKED = json.dumps({"model": "gpt-4o", "max_tokens": 5, "messages": []}).encode()
USED = {"id": "c", "model": "gpt-4o", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
APP = answering(200, {"content-type": "application/json"}, [json.dumps(USED).encode()])
LIMITED: dict[str, Any] = {"limits": [Limit(per="day", requests=9), Limit(per="day", tokens=99)]}


def wipe(path: Path) -> None:
    """Take a database's tables away, as whoever restores a backup over it may do."""
    database = sqlite3.connect(path, isolation_level=None)
    tables = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%'"
    for (name,) in database.execute(tables).fetchall():
        database.execute(f'DROP TABLE "{name}"')
    database.close()


@pytest.mark.parametrize(("setting", "status"), [("open", 200), ("closed", 503)])
@pytest.mark.parametrize("rule", [LIMITED, {"enforce": "wallet"}])
async def test_a_database_that_others_lock_is_soon_decided_by_the_setting(
    tmp_path: Path, rule: Any, setting: Literal["open", "closed"], status: int
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    funded_by_token(url, "acme", credit="9").close()
    meter = TokenMeter(url)
    terms = Enforcement(on_unavailable=setting, lock_wait_s=0.1)
    app = TokenMeterMiddleware(
        APP, customer=lambda _request: "acme", meter=meter, enforcement=terms, **rule
    )
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    answered = await ask(app, scope_of("POST", PATH), ASKED)
    waited_s = time.monotonic() - started
    other.execute("ROLLBACK")
    other.close()
    meter.shutdown()
    assert answered.status == status
    assert waited_s < LONG_S


@pytest.mark.parametrize(("setting", "status"), [("open", 200), ("closed", 503)])
@pytest.mark.parametrize("rule", [LIMITED, {"enforce": "quota"}, {"enforce": "wallet"}])
async def test_a_database_that_is_gone_is_decided_by_the_setting(
    tmp_path: Path, rule: Any, setting: Literal["open", "closed"], status: int
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    funded_by_token(url, "acme", credit="9").close()
    meter = TokenMeter(url)
    terms = Enforcement(on_unavailable=setting)
    app = TokenMeterMiddleware(
        APP, customer=lambda _request: "acme", meter=meter, enforcement=terms, **rule
    )
    wipe(tmp_path / "gateway.db")
    answered = await ask(app, scope_of("POST", PATH), ASKED)
    assert answered.status == status
    if status == 503:
        assert int(answered.headers["retry-after"]) > 0
    meter.shutdown(timeout_s=0.2)


class Lost:
    """A ticket whose database went away after it was given out."""

    def settle(self, events: Sequence[Event]) -> None:
        """Fail as a store does."""
        raise OSError(len(events))

    def admit(self, ask: Ask) -> Ticket:
        """Let it pass, for now."""
        assert ask.customer
        return self


class Closed:
    """A gate that lets nothing pass."""

    def admit(self, ask: Ask) -> Ticket:
        """Refuse."""
        raise Refused(Refusal(402, f"no, {ask.customer}"))


def test_a_refusal_stands_though_nothing_can_be_given_back() -> None:
    with pytest.raises(Refused):
        Together((Lost(), Closed())).admit(Ask("acme"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hold_s": "x"}, "hold_s"),
        ({"hold_s": float("nan")}, "hold_s"),
        ({"timeout_s": None}, "timeout_s"),
        ({"answer_tokens_max": "4096"}, "answer_tokens_max"),
        ({"floor_price": Decimal("NaN")}, "floor_price"),
    ],
)
def test_terms_that_make_no_sense_are_refused_at_start(wrong: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Enforcement(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"by": "customer"}, {"only": ["model"]}, {"requests": None, "money": Decimal("NaN")}]
)
def test_a_limit_that_makes_no_sense_is_refused_at_start(wrong: Any) -> None:
    said: dict[str, Any] = {"per": "day", "requests": 1, **wrong}
    with pytest.raises(ConfigurationError, match="a Limit"):
        Limit(**said)
