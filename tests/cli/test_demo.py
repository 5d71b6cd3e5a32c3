from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import threading
import time
import uuid
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from tokenmeter.cli import app
from tokenmeter.cli.demo import (
    CLOSE_TIMEOUT_S,
    FOLDER,
    OWN,
    Shown,
    next_steps,
    print_demo,
    run_demo,
)
from tokenmeter.cli.demo_calls import scenes
from tokenmeter.cli.demo_replay import cassette_path
from tokenmeter.cli.demo_report import fates, share
from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.event import Event


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, ["demo", *arguments])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """One run of the demo, into a database."""
    file = tmp_path_factory.mktemp("demo") / "usage.db"
    return run_demo(f"sqlite:///{file.as_posix()}")


def of(shown: Shown, feature: str) -> list[Event]:
    return [e for e in shown.events if e.properties["feature"] == feature]


def printed(shown: Shown, width: int = 100) -> str:
    written = StringIO()
    print_demo(Console(width=width, file=written), shown)
    return written.getvalue()


def test_each_call_of_the_demo_is_metered_for_its_customer(shown: Shown) -> None:
    made = {(s.customer, s.feature) for s in scenes("x")}
    assert {(e.external_customer_id, e.properties["feature"]) for e in shown.events} == made
    assert {customer for customer, _ in made} == {"acme", "globex"}
    assert len({e.event_id for e in shown.events}) == len(shown.events) == 12


def test_a_stream_without_stream_options_has_the_usage_that_the_wire_reports(
    shown: Shown,
) -> None:
    (event,) = of(shown, "stream")
    assert event.properties["streamed"] == "true"
    assert event.properties["usage_source"] == "reported"
    assert (event.usage.input_tokens, event.usage.output_tokens) == (31, 112)


def test_a_stream_left_early_is_cancelled_billable_and_says_what_is_estimated(
    shown: Shown,
) -> None:
    (event,) = of(shown, "left early")
    facts = event.properties
    assert (facts["outcome"], facts["billable"]) == ("cancelled", "true")
    assert facts["usage_source"] == "estimated"
    assert event.usage.input_tokens == 1_362  # the provider's own number
    assert 20 < (event.usage.output_tokens or 0) < 171  # of the whole answer's tokens


def test_a_rate_limited_call_is_three_attempts_of_one_call(shown: Shown) -> None:
    attempts = of(shown, "rate limited")
    facts = [e.properties for e in attempts]
    assert [f["attempt"] for f in facts] == [1, 2, 3]
    assert [f["http_status"] for f in facts] == ["429", "429", "200"]
    assert len({f["call_id"] for f in facts}) == 1
    assert [f["billable"] for f in facts] == ["false", "false", "true"]
    assert [f.get("retry_of") for f in facts] == [None, *(e.event_id for e in attempts[:2])]


def test_a_retry_by_hand_after_an_overload_is_the_second_attempt(shown: Shown) -> None:
    first, second = (e.properties for e in of(shown, "overloaded"))
    assert (first["outcome"], first["error_type"]) == ("failed", "overloaded_error")
    assert Decimal(first["cost_usd"]) > 0
    assert first["billable"] == "false"
    assert (second["attempt"], second["outcome"]) == (2, "success")
    assert second["call_id"] == first["call_id"]


def test_a_refused_call_costs_nothing_and_is_not_billed(shown: Shown) -> None:
    (event,) = of(shown, "refused")
    assert (event.properties["http_status"], event.properties["billable"]) == ("400", "false")
    assert event.properties["cost_usd"] == "0"
    assert event.usage.input_tokens is None


def test_a_cached_call_has_the_sum_and_its_parts(shown: Shown) -> None:
    usage = of(shown, "cached")[0].usage
    parts = (usage.uncached_input_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    assert parts == (24, 2_714, 1_236)
    assert usage.input_tokens == 24 + 2_714 + 1_236


def test_thoughts_are_part_of_the_output(shown: Shown) -> None:
    usage = of(shown, "thinking")[0].usage
    assert (usage.output_tokens, usage.reasoning_tokens) == (56 + 724, 724)


def test_an_image_has_a_count_a_size_and_the_price_of_its_tokens(shown: Shown) -> None:
    (event,) = of(shown, "image")
    assert event.event_name == "image_generated"
    assert (event.usage.image_count, event.properties["size"]) == (1, "1024x1024")
    assert event.properties["cost_usd"] == "0.042355"  # 23 at $5 and 1,056 at $40 a million


def test_prompts_and_answers_stay_out_of_the_events(shown: Shown) -> None:
    text = json.dumps([e.to_dict() for e in shown.events])
    for word in ("plant", "lemon", "greenhouse", "no-key-needed"):
        assert word not in text


def test_the_tables_fit_a_hundred_columns_and_a_narrow_screen_gets_fewer(shown: Shown) -> None:
    for width in (100, 80):
        lines = printed(shown, width).splitlines()
        tables = [line for line in lines if not line.startswith(("Look at", "Meter your"))]
        assert max(len(line.rstrip()) for line in tables) <= width
        assert any("claude-sonnet-4-6 " in line for line in lines)  # no cell is folded
    assert "Thought" in printed(shown, 100)
    assert "Thought" not in printed(shown, 80)


def test_the_report_names_every_attempt_the_estimate_and_the_cost_of_failures(
    shown: Shown,
) -> None:
    text = printed(shown)
    assert text.count("rate limited") == 3
    assert "failed 429" in text
    assert "~" in next(line for line in text.splitlines() if "left early" in line)
    assert "12 events of 9 calls by 2 customers cost $0.07" in text
    failed = next(line for line in text.splitlines() if line.startswith("failed"))
    assert failed.split()[1:3] == ["4", "0"]  # four attempts, none billable


def test_the_costs_of_the_fates_add_up_to_the_costs_of_the_events(shown: Shown) -> None:
    spent = sum(Decimal(e.properties["cost_usd"]) for e in shown.events)
    assert sum(fate.cost for fate in fates(shown.events)) == spent
    assert sum(row.cost_usd or 0 for row in shown.usage) == spent
    assert share(Decimal(1), Decimal(8)) == "12.5 %"
    assert share(Decimal(0), Decimal(0)) == "-"


def test_the_backend_has_the_events_afterwards(shown: Shown) -> None:
    result = CliRunner().invoke(app, ["usage", "--json", "--backend", shown.backend])
    rows: list[dict[str, Any]] = json.loads(result.output)
    assert sum(row["events"] for row in rows) == 12
    assert sum(Decimal(row["cost_usd"]) for row in rows) == sum(
        Decimal(e.properties["cost_usd"]) for e in shown.events
    )


def test_the_demo_prints_tables_and_the_next_steps_into_a_new_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = run()
    assert result.exit_code == 0, result.output
    assert "Usage and cost per customer and model" in result.output
    url = result.output.split("tokenmeter usage --backend ")[1].split()[0]
    assert Path(url.removeprefix("sqlite:///")).is_file()
    assert result.output.rstrip().endswith(OWN)


def test_json_is_for_programs_and_a_second_run_adds_events_of_its_own(shown: Shown) -> None:
    result = run("--json", "--backend", shown.backend)
    report = json.loads(result.output)
    assert report["backend"] == shown.backend
    ids = {event["event_id"] for event in report["events"]}
    assert len(ids) == 12
    assert ids.isdisjoint(e.event_id for e in shown.events)
    assert {row["customer"] for row in report["usage"]} == {"acme", "globex"}
    assert sum(row["attempts"] for row in report["attempts"]) == 12


@pytest.mark.parametrize("missing", ["openai", "anthropic", "google.genai", "vcr"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "google.genai":
        from google import genai

        assert genai
        monkeypatch.delattr("google.genai")
    monkeypatch.setitem(sys.modules, missing, None)
    result = run()
    assert result.exit_code == 2
    assert 'pip install "tokenmeter[demo]"' in result.stderr


def test_a_backend_that_cannot_be_used_is_one_sentence() -> None:
    result = run("--backend", "nonsense:")
    assert result.exit_code == 2
    assert result.stderr.startswith("tokenmeter: no backend is known for 'nonsense:'")


def test_an_sdk_that_asks_what_no_cassette_answers_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenmeter.cli.demo_calls.GPT", "another-model")
    monkeypatch.setenv("COLUMNS", "100")
    result = run("--backend", "memory:")
    assert result.exit_code == 2
    assert "the demo's call 'chat' failed" in result.stderr
    assert 'pip install -U "tokenmeter[demo]"' in result.stderr


def test_the_users_own_settings_do_not_reach_the_demo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/elsewhere")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOKENMETER_BACKEND", "nonsense:")
    assert len(run_demo("memory:").events) == 12
    assert not (tmp_path / "home").exists()


def test_a_delivery_that_ends_late_and_still_writes_does_the_demo_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = threading.Event()

    def late(self: MemoryBackend) -> None:
        (state,) = tmp_path.glob(f"{FOLDER}*")
        until = time.monotonic() + CLOSE_TIMEOUT_S + 1
        while not ended.is_set() and time.monotonic() < until:
            with contextlib.suppress(OSError):
                (state / uuid.uuid4().hex).touch()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(MemoryBackend, "close", late)
    try:
        assert len(run_demo("memory:").events) == 12
    finally:
        ended.set()


def test_other_backends_than_a_file_are_told_how_to_keep_the_events() -> None:
    assert "--backend sqlite:///usage.db" in next_steps("memory:")[0]


def test_the_wheels_cassettes_come_before_the_checkouts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cassette_path("openai_chat").is_file()
    monkeypatch.setattr("tokenmeter.cli.demo_replay._PACKAGED", tmp_path)
    assert cassette_path("openai_chat") == tmp_path / "openai_chat.yaml"
