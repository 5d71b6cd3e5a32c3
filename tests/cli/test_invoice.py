"""`tokenmeter invoice` and `wallet`: from a catalog to a closed invoice, on the screen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tokenmeter.cli import COMMANDS, app
from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.local import Engine
from tokenmeter.event import Event, Property

START = (datetime.now(UTC) - timedelta(days=40)).replace(day=1, hour=0, minute=0, second=0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with two events of acme's in a month that is over."""
    found = f"sqlite:///{tmp_path / 'usage.db'}"
    veo: dict[str, Property] = {
        "model": "veo-3.1-lite-generate-preview",
        "resolution": "1080p",
        "video_seconds": 8,
    }
    with Engine(found) as engine:
        at = START + timedelta(days=2)
        engine.ingest(
            [
                Event("video_generated", "e1", "acme", at, veo),
                Event("world_generated", "e2", "acme", at, {"model": "marble", "world_count": 2}),
            ]
        )
    return found


def run(url: str, *arguments: str) -> str:
    given = [*arguments, "--backend", url]
    result = CliRunner().invoke(app, given, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result.output


def answer(url: str, *arguments: str) -> Any:
    return json.loads(run(url, *arguments, "--json"))


def test_a_month_is_sold_billed_and_closed_from_the_command_line(url: str) -> None:
    run(url, "catalog", "apply", "studio")
    said = run(url, "invoice", "subscribe", "acme", "ai_pro", "--since", START.isoformat())
    assert "acme has ai_pro, 13 prices" in said
    assert answer(url, "wallet", "create", "acme", "--credits", "0.5")[0]["balance"] == "0.5"

    month = ("--since", START.isoformat())
    shown = run(url, "invoice", "preview", "acme", *month)
    assert "veo_3_1_lite_1080p_sec" in shown
    assert "0.64" in shown
    assert "unpriced" in shown
    assert "world_generated: no price matches" in shown
    assert answer(url, "invoice", "preview", "acme", *month)["total"] == "0.64"


def test_a_closed_invoice_is_paid_by_credits_and_late_events_are_shown(url: str) -> None:
    run(url, "catalog", "apply", "studio")
    run(url, "invoice", "subscribe", "acme", "ai_pro", "--since", START.isoformat())
    run(url, "wallet", "create", "acme", "--credits", "0.5")
    first = answer(url, "invoice", "run")[0]
    assert first["amount_due"] == "0.14"
    assert "INV-000001" in run(url, "invoice", "list", "--customer", "acme")
    shown = run(url, "invoice", "show", first["invoice_number"])
    assert "paid by credits  0.50" in shown
    assert "came late" not in shown
    with Engine(url) as engine:
        late: dict[str, Property] = {
            "model": "dall-e-2",
            "size": "1024x1024",
            "image_count": 3,
        }
        engine.ingest([Event("image_generated", "e3", "acme", START, late)])
    shown = run(url, "invoice", "show", first["invoice_number"])
    assert "came late, not billed: dalle2_1024 3 (0.06 USD)" in shown
    wallet = answer(url, "wallet", "show", "acme")[0]["id"]
    ledger = run(url, "wallet", "transactions", wallet)
    assert "invoice_payment" in ledger
    assert "-0.5" in ledger
    run(url, "wallet", "topup", wallet, "7", "--key", "k")
    assert "7" in run(url, "wallet", "topup", wallet, "7", "--key", "k")
    assert answer(url, "wallet", "transactions", wallet)["pagination"]["total"] == 3
    assert "voided" in run(url, "invoice", "void", first["id"])
    assert answer(url, "wallet", "show", "acme")[0]["credit_balance"] == "7.5"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("invoice", "preview", "nobody"), "no customer 'nobody'"),
        (("invoice", "show", "INV-1"), "no invoice 'INV-1'"),
        (("invoice", "subscribe", "acme", "none"), "no plan 'none'; bring plans by `tokenmeter c"),
        (("invoice", "preview", "nobody"), "`tokenmeter invoice subscribe CUSTOMER PLAN`"),
        (("wallet", "create", "nobody"), "no customer 'nobody'; make one with a plan by"),
        (("wallet", "show", "nobody"), "'nobody' has no wallet; open one by"),
        (("wallet", "topup", "w", "5"), "no wallet 'w'; `tokenmeter wallet show CUSTOMER` has"),
        (("wallet", "transactions", "w"), "no wallet 'w'; `tokenmeter wallet show CUSTOMER` has"),
    ],
)
def test_a_mistake_is_one_sentence(url: str, arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--backend", url])
    assert result.exit_code == 2
    assert said in result.output


def test_a_subscription_that_is_refused_leaves_no_customer(url: str) -> None:
    """A mistyped plan had made the customer, and the zone of the next try was ignored."""
    run(url, "catalog", "apply", "studio")
    subscribe = ["invoice", "subscribe", "acme"]
    zone = ["--timezone", "Asia/Kolkata"]
    assert CliRunner().invoke(app, [*subscribe, "ai_por", "--backend", url]).exit_code == 2
    with Engine(url) as engine, pytest.raises(NotFoundError):
        engine.definitions.by_key("customer", "acme")
    run(url, *subscribe, "ai_pro", *zone)
    with Engine(url) as engine:
        engine.catalog.apply("llm")
    other = CliRunner().invoke(app, [*subscribe, "chat", "--timezone", "UTC", "--backend", url])
    assert other.exit_code == 2
    assert "has the time zone Asia/Kolkata" in other.output
    with Engine(url) as engine:
        assert engine.definitions.by_key("customer", "acme")["timezone"] == "Asia/Kolkata"


def test_a_plan_is_not_given_twice_and_several_plans_are_all_previewed(url: str) -> None:
    run(url, "catalog", "apply", "studio")
    since = ("--since", START.isoformat())
    first = answer(url, "invoice", "subscribe", "acme", "ai_pro", *since)["id"]
    again = CliRunner().invoke(app, ["invoice", "subscribe", "acme", "ai_pro", "--backend", url])
    assert again.exit_code == 2
    assert "acme has ai_pro already, and a second one would bill it twice" in again.output
    assert f"engine.subscriptions.cancel('{first}') ends it" in again.output
    run(url, "catalog", "apply", "llm")
    run(url, "invoice", "subscribe", "acme", "chat", *since)
    told = answer(url, "invoice", "preview", "acme", *since)
    assert [one["total"] for one in told] == ["0.64", "0.00"]
    assert run(url, "invoice", "preview", "acme", *since).count("invoice draft") == 2


def test_who_gets_a_plan_too_late_is_told_what_it_does_not_bill(url: str) -> None:
    run(url, "catalog", "apply", "studio")
    said = run(url, "invoice", "subscribe", "acme", "ai_pro")
    assert "UTC on\nWhat was used before that is not billed by it; --since" in said
    assert "before" not in run(url, "invoice", "subscribe", "other", "ai_pro")


def test_what_is_empty_is_said_in_a_line_instead_of_a_table_of_nothing(url: str) -> None:
    assert run(url, "invoice", "list") == "There are no invoices yet.\n"
    run(url, "catalog", "apply", "studio")
    since = ("--since", START.isoformat())
    run(url, "invoice", "subscribe", "acme", "ai_pro")
    assert run(url, "invoice", "run") == "No invoice is due.\n"
    shown = run(url, "invoice", "preview", "acme")
    assert "dalle2_1024" not in shown
    assert "13 prices billed nothing; --json shows their lines.\n" in shown
    run(url, "invoice", "subscribe", "other", "ai_pro", *since)
    assert "0.00" in run(url, "invoice", "run")


@pytest.mark.parametrize("columns", ["30", "60"])
def test_a_narrow_terminal_still_shows_the_wallets_id(url: str, columns: str) -> None:
    run(url, "catalog", "apply", "studio")
    run(url, "invoice", "subscribe", "acme", "ai_pro")
    made = answer(url, "wallet", "create", "acme", "--credits", "1234567.25")[0]
    command = ["wallet", "show", "acme", "--backend", url]
    shown = CliRunner().invoke(app, command, env={"COLUMNS": columns}).output
    assert "1234567.25 USD" in shown
    assert "\u2026" not in shown
    assert made["id"][:6] in shown
    folded = "".join(line[1:7].strip() for line in shown.splitlines()[3:])
    assert folded == made["id"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_offers_what_the_command_does_and_nothing_else(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "160"}).output
    assert "--help" in shown
    assert "completion" not in shown
