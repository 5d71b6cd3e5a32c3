from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.engine.made import START, made, url
from tokenmeter.cli import COMMANDS, app
from tokenmeter.cli.reading import instant
from tokenmeter.cli.tables import cost_decimals
from tokenmeter.engine.local import Engine
from tokenmeter.errors import QueryError
from tokenmeter.event import Event, Property

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def called(event_id: str, customer: str, **held: Property) -> Event:
    known: dict[str, Property] = {"model": "gpt-4o", "outcome": "success", **held}
    return made(event_id, customer=customer, properties=known)


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Two customers: a retry, a failure, and one call without a price."""
    found = url(tmp_path / "usage.db")
    events = [
        called("a", "acme", input_tokens=1_234_567, output_tokens=10, cost_usd="3.0865"),
        called("b", "acme", outcome="failed", billable="false", usage_source="missing"),
        called("c", "acme", input_tokens=3, cost_usd="0.0000075", is_retry="true"),
        called("d", "[red]zoo[/", model="new", image_count=1),
    ]
    with Engine(found) as engine:
        engine.ingest(events)
    return found


def cells(output: str, first: str) -> list[str]:
    """The cells of the table row that starts with `first`."""
    lines = [line for line in output.splitlines() if line.strip().startswith(first)]
    return re.split(r"\s{2,}", lines[0].strip())


def test_environments_of_a_server_are_shown_one_at_a_time(database: str) -> None:
    """A property of that name is a dimension like any other."""
    with Engine(database) as engine:
        engine.ingest([called("e", "acme", input_tokens=7, environment="x")], environment="prod")
    for named, ids, tokens in (
        ([], ["d", "c", "b", "a"], 1_234_570),
        (["--environment", "prod"], ["e"], 7),
        (["--environment", "x"], [], 0),
    ):
        told = json.loads(run("events", "--backend", database, "--json", *named).output)
        assert [event["event_id"] for event in told] == ids
        rows = json.loads(run("usage", "--backend", database, "--json", *named).output)
        assert sum(row["usage"].get("input_tokens", 0) for row in rows) == tokens


def test_usage_is_a_table_with_a_total_and_unpriced_in_sight(database: str) -> None:
    result = run("usage", "--backend", database, "--by", "customer,model")
    assert result.exit_code == 0, result.output
    assert cells(result.output, "Customer") == [
        *("Customer", "Model", "Events", "Input", "Output", "Images"),
        *("Retries", "Failed", "Unpriced", "Cost USD"),
    ]
    assert cells(result.output, "acme") == [
        *("acme", "gpt-4o", "3", "1,234,570", "10", "-", "1", "1", "0", "3.09"),
    ]
    assert cells(result.output, "[red]zoo[/")[-2:] == ["1", "unpriced"]
    assert cells(result.output, "Total") == [
        *("Total", "4", "1,234,570", "10", "1", "1", "1", "1", "3.09"),
    ]
    assert "1 unpriced: no cost is known" in result.output


def test_numbers_are_aligned_to_the_right(database: str) -> None:
    lines = run("usage", "--backend", database, "--by", "customer").output.splitlines()
    rows = [line for line in lines if line.strip().startswith(("acme", "Total"))]
    assert len(rows) == 2
    assert len({line.index("1,234,570") for line in rows}) == 1


def test_json_is_exact_and_for_programs(database: str) -> None:
    result = run("usage", "--backend", database, "--by", "customer", "--json")
    rows: list[dict[str, Any]] = json.loads(result.output)
    assert rows[1] == {
        "group": {"customer": "acme"},
        "events": 3,
        "attempts": 3,
        "retries": 1,
        "failed": 1,
        "billable": 2,
        "unbilled": 1,
        "unpriced": 0,
        "cost_usd": "3.0865075",
        "usage": {"input_tokens": 1_234_570, "output_tokens": 10},
    }
    assert rows[0]["cost_usd"] is None
    assert rows[0]["unpriced"] == 1


def test_time_and_customer_choose_and_a_window_makes_rows(database: str) -> None:
    with Engine(database) as engine:
        engine.ingest([made("later", customer="acme", at=START + timedelta(days=2))])
    common = ("usage", "--backend", database, "--customer", "acme", "--by", "", "--json")
    assert [row["events"] for row in json.loads(run(*common).output)] == [4]
    since = json.loads(run(*common, "--since", "2026-11-02").output)
    assert [row["events"] for row in since] == [1]
    until = json.loads(run(*common, "--until", "2026-11-03T12:00Z").output)
    assert [row["events"] for row in until] == [3]
    days = json.loads(run(*common, "--window", "day").output)
    assert [row["window_start"] for row in days] == [
        "2026-11-01T00:00:00+00:00",
        "2026-11-03T00:00:00+00:00",
    ]
    table = run("usage", "--backend", database, "--window", "day").output
    assert cells(table, "2026-11-03")[:3] == ["2026-11-03", "acme", "-"]


def test_any_property_can_be_grouped_by(database: str) -> None:
    rows = json.loads(run("usage", "--backend", database, "--by", "is_retry", "--json").output)
    assert [(row["group"]["is_retry"], row["events"]) for row in rows] == [(None, 3), ("true", 1)]
    alias = run("usage", "--backend", database, "--by", "external_customer_id")
    assert cells(alias.output, "acme")[0] == "acme"


def test_events_come_newest_first_with_their_cost(database: str) -> None:
    result = run("events", "--backend", database, "--customer", "acme")
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines() if line.strip().startswith("11-01")]
    assert re.search(r"3 in +0\.0000075", rows[0])
    assert "failed" in rows[1]
    assert "no usage" in rows[1]
    assert re.search(r"1,234,567 in · 10 out +3\.0865000", rows[2])
    unpriced = run("events", "--backend", database, "--customer", "[red]zoo[/").output
    assert re.search("1 images +unpriced", unpriced)


def test_events_as_json_are_the_events(database: str) -> None:
    result = run("events", "--backend", database, "--limit", "2", "--json")
    found: list[dict[str, Any]] = json.loads(result.output)
    assert [event["event_id"] for event in found] == ["d", "c"]
    assert Event.from_dict(found[1]).properties["cost_usd"] == "0.0000075"
    failed = json.loads(
        run("events", "--backend", database, "--outcome", "failed", "--json").output
    )
    assert [event["event_id"] for event in failed] == ["b"]


def test_more_events_than_a_page_holds_are_shown(tmp_path: Path) -> None:
    found = url(tmp_path / "usage.db")
    with Engine(found) as engine:
        engine.ingest([made(f"evt_{i}", at=START + timedelta(seconds=i)) for i in range(1500)])
    result = run("events", "--backend", found, "--limit", "1200", "--json")
    ids = [event["event_id"] for event in json.loads(result.output)]
    assert ids == [f"evt_{i}" for i in range(1499, 299, -1)]


def test_conflicting_copies_are_announced_and_listed(database: str) -> None:
    assert "No event came twice" in run("events", "--backend", database, "--conflicts").output
    with Engine(database) as engine:
        engine.ingest([called("a", "other", input_tokens=1)])
    assert "events --conflicts" in run("usage", "--backend", database).output
    listed = run("events", "--backend", database, "--conflicts")
    assert "customer is other, stored is acme" in listed.output
    as_json = run("events", "--backend", database, "--conflicts", "--json")
    assert json.loads(as_json.output)[0]["event_id"] == "a"


def test_a_store_without_events_says_so(tmp_path: Path) -> None:
    empty = url(tmp_path / "usage.db")
    Engine(empty).close()
    for arguments in (("usage",), ("usage", "--by", "service_tier"), ("events",)):
        result = run(*arguments, "--backend", empty)
        assert (result.exit_code, result.output) == (0, "No events match.\n")
        assert run(*arguments, "--backend", empty, "--json").output == "[]\n"


def test_control_characters_from_outside_do_not_reach_the_terminal(tmp_path: Path) -> None:
    found = url(tmp_path / "usage.db")
    with Engine(found) as engine:
        engine.ingest([called("a", "\x1b[31mred\nline")])
    for command in ("usage", "events"):
        output = run(command, "--backend", found).output
        assert "\x1b" not in output
        assert "\ufffd[31mred\ufffdline" in output


MISTAKES = [
    (("--backend", "memory:"), "memory: backend lives in the process"),
    (("--backend", "sqlite:///:memory:"), "memory: backend lives in the process"),
    (("--backend", "console:"), "console: backend prints its events and keeps none"),
    (("--backend", "flexprice://us"), "look at them there"),
    (("--backend", "mongodb://user:secret@host/db"), "mongodb://…@host/db is no backend"),
    (("--backend", "sqlite:////no/such/usage.db"), "there is no file /no/such/usage.db"),
    (("--since", "yesterday"), "'yesterday' is not a time"),
    (("--until", "2026-13-01"), "'2026-13-01' is not a time"),
    (("--since", "999999w"), "'999999w' is not a time"),
    (("--since", "2026-11-02", "--until", "2026-11-01"), "the end lies before the start"),
    (("--by", "modle"), "no event has a column or property 'modle'"),
    (("--by", 'a"b'), "cannot name a dimension"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_gets_one_sentence_on_stderr_and_exit_code_2(
    database: str, arguments: tuple[str, ...], sentence: str
) -> None:
    backend = () if "--backend" in arguments else ("--backend", database)
    result = run("usage", *backend, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x" * 5000)
    result = run("events", "--backend", url(path))
    assert result.exit_code == 2
    assert "file is not a database" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_default_backend_is_the_one_of_the_environment(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_BACKEND", database)
    assert run("usage", "--json").exit_code == 0
    monkeypatch.delenv("TOKENMETER_BACKEND")
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path / "none"))
    result = run("usage")
    assert result.exit_code == 2
    assert f"there is no file {tmp_path}/none/usage.db" in result.stderr
    assert not (tmp_path / "none").exists()


def test_the_console_script_prints_usage(database: str) -> None:
    script = Path(sys.executable).parent / "tokenmeter"
    done = subprocess.run(
        [script, "usage", "--backend", database],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONUTF8": "1", "PYTHONWARNINGS": "error"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert cells(done.stdout, "acme")[-1] == "3.09"


def test_help_imports_neither_the_engine_nor_the_other_commands() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from tokenmeter.cli import app\n"
        "assert CliRunner().invoke(app, ['usage', '--help']).exit_code == 0\n"
        "assert 'tokenmeter.cli.usage' in sys.modules\n"
        "print([m for m in ('sqlalchemy', 'tokenmeter.cli.events') if m in sys.modules])\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T08:30Z", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T08:30:00+05:30", datetime(2026, 11, 1, 3, tzinfo=UTC)),
        ("7d", NOW - timedelta(days=7)),
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(hours=24)),
        (" 2w ", NOW - timedelta(weeks=2)),
    ],
)
def test_a_time_is_iso_or_how_long_ago(text: str, expected: datetime) -> None:
    assert instant(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "7 days", "\u0667d", "0001-01-01T00:00+10:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        instant(text, NOW)


@pytest.mark.parametrize(
    ("costs", "decimals"),
    [
        ([], 2),
        ([None, Decimal(0)], 2),
        (["0.17", "12.5"], 2),
        (["0.17", "0.0000123"], 7),
        (["0.123456789"], 3),
        (["1234.5678"], 2),
        (["1e-30"], 12),
    ],
)
def test_a_column_of_costs_shows_its_smallest(
    costs: list[str | Decimal | None], decimals: int
) -> None:
    assert cost_decimals([None if cost is None else Decimal(cost) for cost in costs]) == decimals


def test_help_lists_every_command_and_an_unknown_one_is_a_mistake() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert name in result.output
    assert run("usag").exit_code == 2


WIDE = {"input_tokens": 1_234_567, "cache_read_tokens": 55, "output_tokens": 10, "image_count": 3}


@pytest.mark.parametrize("columns", [40, 80, 100])
def test_a_narrow_terminal_hides_no_name_and_cuts_no_number(
    database: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 80 columns customer and model had vanished, and costs ended in dots."""
    more: dict[str, Property] = {
        "model_type": "gpt-4",
        "video_seconds": 5,
        "world_count": 1,
        "cost_usd": "12.34",
    }
    with Engine(database) as engine:
        engine.ingest([called("wide", "globex", **WIDE, **more)])
    monkeypatch.setenv("COLUMNS", str(columns))
    result = run("usage", "--backend", database)
    assert "\u2026" not in result.output
    (line,) = [line for line in result.output.splitlines() if "globex" in line]
    assert line.split()[:6] == ["globex", "gpt-4", "1", "1,234,567", "55", "10"]
    assert line.split()[-1] == "12.34"


def test_a_terminal_that_lacks_letters_shows_the_others(database: str) -> None:
    with Engine(database) as engine:
        engine.ingest([called("e", "\u5ba2-9", input_tokens=7)])
    command = [sys.executable, "-m", "tokenmeter", "usage", "--backend", database]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "?-9" in told.stdout
    assert told.stderr == ""


def test_an_outcome_that_does_not_exist_is_refused(database: str) -> None:
    result = run("events", "--backend", database, "--outcome", "fail")
    assert result.exit_code == 2
    assert "'unknown'" in result.output
    (event,) = json.loads(
        run("events", "--backend", database, "--outcome", "failed", "--json").output
    )
    assert event["event_id"] == "b"


@pytest.mark.parametrize("command", ["usage", "events"])
def test_who_asks_for_the_environment_that_applications_name_is_told_how(
    database: str, command: str
) -> None:
    with Engine(database) as engine:
        engine.ingest([called("e", "acme", environment="prod")])
    said = " ".join(run(command, "--backend", database, "--environment", "prod").output.split())
    assert said.endswith("is a property: tokenmeter usage --by environment")


def test_the_version_is_that_of_the_package() -> None:
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"tokenmeter {version('tokenmeter')}\n")


@pytest.mark.parametrize("command", [[], ["usage"], ["wallet", "show"]])
def test_help_has_a_short_name(command: list[str]) -> None:
    assert run(*command, "-h").output == run(*command, "--help").output
    assert run(*command, "-h").exit_code == 0
