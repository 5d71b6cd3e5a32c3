"""`tokenmeter doctor` says what is wrong, and sends again what was refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.delivery.cloud import KEY, Reply, Request, serving
from tests.delivery.records import run_python
from tokenmeter import TokenMeter
from tokenmeter.cli import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", KEY)
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path))
    return tmp_path


def doctor(*arguments: str, exit_code: int) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def shown(*arguments: str) -> str:
    return " ".join(CliRunner().invoke(app, ["doctor", *arguments]).output.split())


def metered(url: str, model: str) -> None:
    meter = TokenMeter(url)
    usage = {"input_tokens": 5, "output_tokens": 1}
    meter.record("text_generated", usage, customer="acme", provider="openai", model=model)
    meter.shutdown(5.0)


def at_peace(request: Request) -> Reply:
    return Reply()


def test_a_healthy_state_has_no_problems(home: Path) -> None:
    url = f"sqlite:///{home}/usage.db"
    metered(url, model="gpt-4o-mini")
    found = doctor("--backend", url, exit_code=0)
    assert found["problems"] == []
    assert found["check"]["reachable"]
    assert "Nothing is wrong." in shown("--backend", url)


def test_a_home_that_is_new_is_healthy(home: Path) -> None:
    found = doctor("--backend", "memory:", exit_code=0)
    assert (found["journal"], found["jobs_pending"]) == ([], 0)


def test_a_database_that_is_not_there_yet_is_told_and_not_made(home: Path) -> None:
    url = f"sqlite:///{home}/usgae.db"
    (said,) = doctor("--backend", url, exit_code=1)["problems"]
    assert said.startswith("nothing is there yet")
    assert "usgae.db" in said
    assert not list(home.glob("usgae.db*"))
    assert "nothing is there yet" in shown("--backend", url)


def test_unpriced_models_and_events_of_nobody_are_told_of_a_database(home: Path) -> None:
    url = f"sqlite:///{home}/usage.db"
    metered(url, model="gpt-of-tomorrow")
    meter = TokenMeter(url)
    meter.record("world_generated", {"world_count": 1})
    meter.shutdown()
    found = doctor("--backend", url, exit_code=1)
    assert found["unpriced_models"] == {"gpt-of-tomorrow": 1, "world_generated": 1}
    assert found["unattributed"] == 1
    assert "gpt-of-tomorrow" in shown("--backend", url)


def test_a_refused_key_is_told_and_shows_neither_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as cloud:
        monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", "sk_wrong")
        found = doctor("--backend", cloud.url, exit_code=1)
        assert not found["check"]["key_accepted"]
        assert found["check"]["reachable"]
        assert "refuses the API key" in found["problems"][0]
        text = shown("--backend", f"{cloud.url.replace('//', '//sk_other@')}")
    assert "sk_wrong" not in json.dumps(found)
    assert "sk_other" not in text


def test_a_backend_that_is_gone_and_what_waits_for_it_are_told(home: Path) -> None:
    with serving(lambda request: Reply(500)) as cloud:
        meter = TokenMeter(cloud.url)
        meter.record("text_generated", {"input_tokens": 1}, customer="acme")
        assert not meter.shutdown(0.3)
    found = doctor("--backend", cloud.url, exit_code=1)
    assert not found["check"]["reachable"]
    (waiting,) = found["journal"]
    assert (waiting["records"], waiting["processes"], waiting["ended"]) == (1, 0, 1)
    assert "HTTP 500" in json.dumps(found["last_errors"])
    assert "wait for a process" in shown("--backend", cloud.url)


def test_a_wrong_clock_is_told() -> None:
    wrong = Reply(400, headers={"Date": "Wed, 21 Oct 2015 07:28:00 GMT"})
    with serving(lambda request: wrong) as cloud:
        found = doctor("--backend", cloud.url, exit_code=1)
    assert found["check"]["clock_skew_s"] < -3e8
    assert "clock" in found["problems"][0]


def test_dead_letters_are_told_with_their_reasons_and_sent_again(home: Path) -> None:
    with serving() as cloud:
        meter = TokenMeter(cloud.url)
        for n in range(3):
            meter.record("text_generated", {"input_tokens": n}, customer="acme", poisoned="1")
        assert meter.flush(20.0)
        assert meter.health()["dead_letters"] == 3
        found = doctor("--backend", cloud.url, exit_code=1)
        assert found["dead_letters"] == {"HTTP 400: properties are poisoned": 3}
        cloud.behave = at_peace
        healed = doctor("--backend", cloud.url, "--replay", exit_code=1)  # still unpriced
        assert (healed["replayed"], healed["delivered"]) == (3, True)
        assert healed["dead_letters"] == {}
        assert len(cloud.taken) == 3
        assert meter.shutdown()


def test_events_held_back_go_on_once_their_customer_is_named(home: Path) -> None:
    with serving() as cloud:
        meter = TokenMeter(cloud.url)
        event = meter.record("text_generated", {"input_tokens": 7})
        assert meter.flush(20.0)
        assert cloud.taken == []
        found = doctor("--backend", cloud.url, exit_code=1)
        assert (found["held"], found["unattributed"]) == (1, 1)
        doctor("--backend", cloud.url, "--attribute", "acme", exit_code=1)
        (taken,) = cloud.taken
        assert taken["external_customer_id"] == "acme"
        assert taken["event_id"] == event.event_id
        assert taken["timestamp"] == event.to_dict()["timestamp"]
        assert meter.shutdown()


def test_an_event_that_was_held_back_is_told_of_once_and_no_longer_as_nobodys(home: Path) -> None:
    with serving() as cloud:
        meter = TokenMeter(cloud.url)
        meter.record("text_generated", {"input_tokens": 7})
        assert meter.shutdown(20.0)
        doctor("--backend", cloud.url, "--attribute", "acme", exit_code=1)
        found = doctor("--backend", cloud.url, exit_code=1)
    assert (found["held"], found["unattributed"]) == (0, 0)
    assert found["unpriced_models"] == {"text_generated": 1}


def test_what_a_killed_process_left_is_told_and_delivered(home: Path) -> None:
    url = f"sqlite:///{home}/usage.db"
    script = """
        import tokenmeter
        meter = tokenmeter.TokenMeter(sys.argv[1])
        meter._delivery._running = True
        meter.record("text_generated", {"input_tokens": 1}, customer="acme")
        os.kill(os.getpid(), 9)
    """
    run_python(script, url).communicate(timeout=20)
    found = doctor("--backend", url, exit_code=1)
    assert [each["records"] for each in found["journal"]] == [1]
    assert doctor("--backend", url, "--deliver", exit_code=1)["journal"] == []


def test_a_damaged_record_is_told(home: Path) -> None:
    test_what_a_killed_process_left_is_told_and_delivered(home)
    url = f"sqlite:///{home}/usage.db"
    log = home / "journal" / "0000000000001-1-x"
    log.mkdir(parents=True)
    (log / "lock").touch()
    (log / "sqlite-x.cursor").write_text("0")
    (log / f"{0:020d}.jsonl").write_bytes(b"\x00\xff\x00\n")
    assert "damaged" in shown("--backend", url)


def test_a_backend_that_cannot_be_opened_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMETER_FLEXPRICE_API_KEY")
    found = doctor("--backend", "flexprice://us", exit_code=1)
    assert "TOKENMETER_FLEXPRICE_API_KEY" in found["problems"][0]
