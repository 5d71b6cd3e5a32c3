"""Wallets: one ledger, exact, each posting once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.sold import (
    FREE,
    NOW,
    StillClock,
    customer,
    d,
    either_database,
    opened,
    wallet,
)
from tokenmeter.engine.errors import (
    AlreadyExistsError,
    InvalidOperationError,
    NotFoundError,
    ValidationError,
)
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallets import Wallets
from tokenmeter.rating.credits import Owed
from tokenmeter.rating.errors import RatingError

Opened = tuple[Store, Wallets, StillClock]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


@pytest.fixture
def acme(database: str) -> Iterator[Opened]:
    store, wallets, clock = opened(database)
    customer(store)
    yield store, wallets, clock
    wallets.close()
    store.close()


def top_up(amount: str, **fields: Any) -> dict[str, Any]:
    return {"credits_to_add": amount, "transaction_reason": FREE, **fields}


def ledger(store: Store, wallet_id: str) -> list[tuple[str, str, str]]:
    with store.reading() as connection:
        rows, _ = Ledger(connection, "").transactions(wallet_id, limit=1000, newest_first=False)
    return [(r.type, str(r.credit_amount), str(r.balance_after)) for r in rows]


def test_a_wallet_is_made_as_flexprice_makes_it(acme: Opened) -> None:
    made = acme[1].create({"external_customer_id": "acme", "currency": "USD"})
    assert made["currency"] == "usd"
    assert (made["wallet_type"], made["wallet_status"]) == ("PRE_PAID", "active")
    assert (made["conversion_rate"], made["topup_conversion_rate"]) == ("1", "1")
    assert made["config"] == {"allowed_price_types": ["USAGE"]}
    assert (made["balance"], made["credit_balance"]) == ("0", "0")
    assert made["id"].startswith("wallet_")


def test_money_is_debited_at_the_rate_that_credits_are_worth_and_added_at_that_of_top_ups(
    acme: Opened,
) -> None:
    _, wallets, _ = acme
    w = wallet(wallets, "0", conversion_rate="1", topup_conversion_rate="0.5")
    wallets.top_up(w, {"amount": "10", "transaction_reason": FREE})
    assert wallets.get(w)["credit_balance"] == "20"
    taken = wallets.debit(w, {"amount": "10"})["wallet_transaction"]
    assert (taken["amount"], taken["credit_amount"]) == ("10", "10")
    assert wallets.get(w)["balance"] == "10"


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"currency": "usd"}, ValidationError, "customer_id or external_customer_id is required"),
        ({"customer_id": "_none", "currency": "usd"}, NotFoundError, "invalid customer id"),
        ({"external_customer_id": "acme"}, RatingError, "three letters"),
        ({"external_customer_id": "acme", "currency": "usdt"}, RatingError, "three letters"),
        (
            {"external_customer_id": "acme", "currency": "usd", "conversion_rate": "0"},
            *(RatingError, "above 0"),
        ),
        (
            {"external_customer_id": "acme", "currency": "usd", "wallet_type": "PAID"},
            *(RatingError, "PRE_PAID or POST_PAID"),
        ),
        (
            {"external_customer_id": "acme", "currency": "usd", "initial_credits_to_load": "-1"},
            *(RatingError, "above 0"),
        ),
        ({"external_customer_id": "acme", "price_unit": "GEM"}, ValidationError, "no price unit"),
        (
            {
                "external_customer_id": "acme",
                "currency": "usd",
                "config": {"allowed_price_types": ["SOME"]},
            },
            *(RatingError, "USAGE, FIXED or ALL"),
        ),
        (
            {
                "external_customer_id": "acme",
                "currency": "usd",
                "auto_topup": {"enabled": True, "threshold": "1"},
            },
            *(RatingError, "automatic top-up needs"),
        ),
        (
            {
                "external_customer_id": "acme",
                "currency": "usd",
                "alert_settings": {"info": {"threshold": "1", "condition": "beside"}},
            },
            *(RatingError, "above or below"),
        ),
    ],
)
def test_a_wallet_that_makes_no_sense_is_refused(
    acme: Opened, fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        acme[1].create(fields)


def test_a_customer_has_one_active_wallet_of_a_currency_and_type(acme: Opened) -> None:
    _, wallets, _ = acme
    first = wallet(wallets)
    with pytest.raises(AlreadyExistsError):
        wallet(wallets)
    other = wallet(wallets, "1", wallet_type="POST_PAID")
    wallets.terminate(first)
    second = wallet(wallets, "3")
    assert {w["id"] for w in wallets.of_customer("acme")} == {other, second}
    assert wallets.of_customer("nobody") == []


def test_a_price_unit_gives_a_wallet_its_currency_and_rate(acme: Opened) -> None:
    store, wallets, _ = acme
    unit = {"code": "CREDIT", "base_currency": "usd", "conversion_rate": "0.01"}
    with store.writing() as connection:
        Documents(connection).insert(Document("price_unit", "unit_1", unit, lookup_key="CREDIT"))
    made = wallets.create({"external_customer_id": "acme", "price_unit": "credit"})
    assert (made["currency"], made["conversion_rate"]) == ("usd", "0.01")
    done = wallets.top_up(made["id"], top_up("250"))
    assert (done["wallet"]["balance"], done["wallet"]["credit_balance"]) == ("2.5", "250")


def test_a_top_up_is_one_line_of_the_ledger(acme: Opened) -> None:
    _, wallets, _ = acme
    w = wallet(wallets, "0", conversion_rate="2")
    done = wallets.top_up(w, top_up("50", priority=1))["wallet_transaction"]
    assert (done["credit_amount"], done["amount"]) == ("50", "100")
    assert (done["credit_balance_before"], done["credit_balance_after"]) == ("0", "50")
    assert (done["type"], done["transaction_status"], done["priority"]) == (
        *("credit", "completed"),
        1,
    )
    paid = wallets.top_up(w, {"amount": "30", "transaction_reason": FREE})
    assert paid["wallet_transaction"]["credit_amount"] == "15"
    assert paid["wallet"]["credit_balance"] == "65"


@pytest.mark.parametrize(
    "fields",
    [
        top_up("0"),
        top_up("-5"),
        {"transaction_reason": FREE},
        {"credits_to_add": "5"},
        top_up("5", transaction_reason="BECAUSE"),
        top_up("5", expiry_date_utc="2020-01-01T00:00:00Z"),
        top_up("many"),
    ],
)
def test_a_top_up_that_makes_no_sense_is_refused(acme: Opened, fields: dict[str, Any]) -> None:
    store, wallets, _ = acme
    w = wallet(wallets)
    with pytest.raises(RatingError):
        wallets.top_up(w, fields)
    assert len(ledger(store, w)) == 1


def test_a_repeated_top_up_is_the_first_one(acme: Opened) -> None:
    store, wallets, _ = acme
    w = wallet(wallets)
    asked = top_up("5", idempotency_key="k1", bonus_credits_to_add="2")
    first, second = wallets.top_up(w, asked), wallets.top_up(w, asked)
    assert first["wallet_transaction"] == second["wallet_transaction"]
    assert second["wallet"]["credit_balance"] == "17"
    assert len(ledger(store, w)) == 3
    assert len(wallets.transactions(w)["items"]) == wallets.transactions(w)["pagination"]["total"]


def test_a_closed_wallet_takes_and_gives_nothing(acme: Opened) -> None:
    _, wallets, _ = acme
    w = wallet(wallets)
    assert wallets.terminate(w)["credit_balance"] == "0"
    with pytest.raises(InvalidOperationError):
        wallets.top_up(w, top_up("5"))
    with pytest.raises(InvalidOperationError):
        wallets.debit(w, {"credits": "5"})
    with pytest.raises(InvalidOperationError):
        wallets.terminate(w)


def test_credits_go_by_priority_then_expiry_and_a_debt_is_paid_first(acme: Opened) -> None:
    store, wallets, _ = acme
    w = wallet(wallets, "10")  # no priority, never expires: the last
    soon = (NOW + timedelta(days=1)).isoformat()
    late = (NOW + timedelta(days=9)).isoformat()
    wallets.top_up(w, top_up("4", expiry_date_utc=late))
    wallets.top_up(w, top_up("3", expiry_date_utc=soon))
    wallets.top_up(w, top_up("2", priority=5))
    wallets.debit(w, {"credits": "6"})
    with store.reading() as connection:
        left = {str(c.amount): str(c.remaining) for c in Ledger(connection, "").usable(w)}
    assert left == {"10": "10", "4": "3"}
    assert wallets.debit(w, {"credits": "20"})["wallet"]["credit_balance"] == "-7"
    assert wallets.top_up(w, top_up("9"))["wallet"]["credit_balance"] == "2"
    with store.reading() as connection:
        assert [c.remaining for c in Ledger(connection, "").usable(w)] == [d(2)]


def test_expired_credits_leave_the_ledger_as_a_line_of_their_own(acme: Opened) -> None:
    store, wallets, clock = acme
    w = wallet(wallets, "10")
    wallets.top_up(w, top_up("5", expiry_date_utc=(NOW + timedelta(hours=1)).isoformat()))
    clock.move(3599)
    assert wallets.get(w)["credit_balance"] == "15"
    clock.move(1)
    assert wallets.get(w)["credit_balance"] == "10"
    assert wallets.get(w)["credit_balance"] == "10"
    assert ledger(store, w)[-1] == ("debit", "5", "10")
    assert wallets.transactions(w)["items"][0]["transaction_reason"] == "CREDIT_EXPIRED"


def test_settings_can_be_changed_and_balances_cannot(acme: Opened) -> None:
    _, wallets, _ = acme
    w = wallet(wallets, "10")
    changed = wallets.update(w, {"name": "Main", "credit_balance": "99", "currency": "eur"})
    assert (changed["name"], changed["credit_balance"], changed["currency"]) == (
        *("Main", "10"),
        "usd",
    )
    with pytest.raises(RatingError):
        wallets.update(w, {"config": {"allowed_price_types": ["SOME"]}})


@pytest.mark.parametrize(
    ("types", "kind", "left"),
    [
        (["USAGE"], "PRE_PAID", "12.5"),  # 20 - 3 - (5 - 0.5)
        (["ALL"], "PRE_PAID", "9"),  # 20 - 3 - 8
        (["FIXED"], "PRE_PAID", "12"),
        (["ALL"], "POST_PAID", "20"),
    ],
)
def test_the_real_time_balance_is_flexprices(
    database: str, types: list[str], kind: str, left: str
) -> None:
    store, _, clock = opened(database)
    customer(store)
    owed = Owed(d(3), d(5), d(8), d("0.5"))
    wallets = Wallets(store, owed=lambda wallet, at: owed, clock=clock)
    asked = {"conversion_rate": "2", "wallet_type": kind, "config": {"allowed_price_types": types}}
    w = wallet(wallets, "10", **asked)
    told = wallets.balance(w)
    assert (told["real_time_balance"], told["balance"]) == (left, "20")
    assert told["real_time_credit_balance"] == str(d(left) / 2)
    assert wallets.of_customer("acme", real_time=True) == [told]
    store.close()


def test_the_python_of_docs_wallets_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "wallets.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    exec(compile(code, "docs/wallets.md", "exec"), {})
    assert capsys.readouterr().out == "100\n"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["credit", "debit", "brief", "wait"]),
        st.decimals("0.000001", "50", places=6),
        st.integers(0, 3) | st.none(),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_after_any_steps_the_balance_is_what_is_left_and_lines_chain(
    steps: list[tuple[str, Any, int | None]],
) -> None:
    store, wallets, clock = opened("sqlite:///:memory:")
    customer(store)
    w = wallet(wallets, "1")
    for what, amount, priority in steps:
        fields: dict[str, Any] = {} if priority is None else {"priority": priority}
        if what == "brief":
            fields["expiry_date_utc"] = (clock.now + timedelta(minutes=1)).isoformat()
        if what == "wait":
            clock.move(40)
        elif what == "debit":
            wallets.debit(w, {"credits": str(amount)})
        else:
            wallets.top_up(w, top_up(str(amount), **fields))
    told = d(wallets.get(w)["credit_balance"])
    with store.reading() as connection:
        kept = Ledger(connection, "")
        rows, _ = kept.transactions(w, limit=1000, newest_first=False)
        assert sum(c.remaining for c in kept.usable(w)) == told
    assert rows[0].balance_before == 0
    assert [r.balance_before for r in rows[1:]] == [r.balance_after for r in rows[:-1]]
    signed = [r.credit_amount if r.type == "credit" else -r.credit_amount for r in rows]
    assert sum(signed) == told
    store.close()


def test_an_idempotency_key_of_a_top_up_is_none_of_a_debit(acme: Opened) -> None:
    _, wallets, _ = acme
    purse = wallet(wallets, "10")
    added = {"credits_to_add": 5, "transaction_reason": FREE, "idempotency_key": "k"}
    wallets.top_up(purse, added)
    with pytest.raises(AlreadyExistsError, match="'k' is of a credit already"):
        wallets.debit(purse, {"credits": 3, "idempotency_key": "k"})
    wallets.debit(purse, {"credits": 3, "idempotency_key": "j"})
    with pytest.raises(AlreadyExistsError, match="'j' is of a debit already"):
        wallets.top_up(purse, {**added, "idempotency_key": "j"})
    assert wallets.get(purse)["balance"] == "12"


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1"])
def test_what_is_no_amount_is_neither_held_nor_settled(acme: Opened, amount: str) -> None:
    _, wallets, _ = acme
    wallet(wallets, "10")
    with pytest.raises(ValidationError, match="at least 0"):
        wallets.hold("acme", d(amount))
    held = wallets.hold("acme", d(1))
    with pytest.raises(ValidationError, match="at least 0"):
        wallets.settle(held.id, d(amount))
    assert wallets.held(held.id).state == "held"
