"""Backends by URL, and what is said about a wrong one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.records import MOMENT, Sink, event
from tokenmeter import Money, TokenMeter
from tokenmeter.delivery.backends import backend_name, open_backend
from tokenmeter.delivery.backends.console import ConsoleBackend
from tokenmeter.delivery.backends.fanout import FanOut
from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import Receipt, Rejection
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event

SECRET = "hunter2"


class Refusing(Sink):
    def send(self, events: Sequence[Event]) -> Receipt:
        return Receipt(0, tuple(Rejection(each.event_id, "no") for each in events))


class Asynchronous:
    async def send(self, events: Sequence[Event]) -> Receipt:
        return Receipt(len(events))

    def close(self) -> None: ...


def test_a_url_names_a_backend() -> None:
    assert isinstance(open_backend("memory:"), MemoryBackend)
    assert isinstance(open_backend("console:"), ConsoleBackend)


def test_a_backend_object_is_itself() -> None:
    sink = Sink()
    assert open_backend(sink) is sink


def test_a_list_is_a_fan_out_that_gives_each_event_to_all() -> None:
    first, second = Sink(), Sink()
    backend = open_backend([first, second])
    assert isinstance(backend, FanOut)
    assert backend.send([event("evt_1")]) == Receipt(1)
    assert first.ids == second.ids == ["evt_1"]
    backend.close()
    assert (first.closed, second.closed) == (1, 1)


def test_of_several_backends_the_one_with_an_engine_answers(tmp_path: Path) -> None:
    """With the cloud beside it, a local database had no engine, no charges and no wallets."""
    meter = TokenMeter(["memory:", f"sqlite:///{tmp_path / 'usage.db'}"], state_dir=tmp_path)
    engine = meter.engine
    engine.catalog.apply("studio")
    engine.definitions.create("customer", {"external_id": "acme"})
    terms = {"currency": "usd", "billing_period": "MONTHLY"}
    engine.subscriptions.create({"external_customer_id": "acme", "plan_id": "ai_pro", **terms})
    image = {"model": "dall-e-3", "size": "1024x1024", "quality": "standard"}
    quote = meter.preview(provider="openai", customer="acme", n=2, **image)
    assert quote.charge is not None
    assert quote.charge.expected == Money("0.08")
    with meter.attribute(customer="acme"):
        meter.record("image_generated", {"image_count": 3}, model="dall-e-3")
    assert meter.flush()
    assert engine.aggregate("image_generated", "SUM", "image_count") == 3
    assert meter.shutdown()


def test_several_backends_without_an_engine_say_which_has_one() -> None:
    meter = TokenMeter(["memory:", "console:"])
    with pytest.raises(ConfigurationError, match="has no local engine"):
        _ = meter.engine
    assert meter.shutdown()


def test_a_fan_out_rejects_what_one_of_them_rejects() -> None:
    backend = FanOut([Sink(), Refusing()])
    assert backend.send([event("evt_1")]) == Receipt(0, (Rejection("evt_1", "no"),))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "nonsense",
        "postgers://localhost",
        "/tmp/usage.db",
        f"htp://user:{SECRET}@host/x",
        f"htp://user:{SECRET}@@host/x",
        f"htp://host/x?api_key={SECRET}",
        f"htp://{SECRET}@host/a\nb",
        "a\nb",
        7,
        None,
        b"memory:",
        [],
        ["memory:", 7],
        MemoryBackend,
        object(),
        Asynchronous(),
    ],
)
def test_nonsense_is_answered_by_one_sentence_without_secrets(wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_backend(wrong)
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert SECRET not in sentence


def test_a_backend_that_cannot_be_opened_is_a_configuration_error_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _register(monkeypatch, "tests.delivery.test_backends:broken_opener")
    with pytest.raises(ConfigurationError, match="OSError") as raised:
        open_backend(f"other://user:{SECRET}@host")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_installed_package_can_provide_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    _register(monkeypatch, "tests.delivery.test_backends:sink_opener")
    assert isinstance(open_backend("other://host"), Sink)


def broken_opener(url: str) -> Sink:
    raise OSError(f"no route to {url}")


def sink_opener(url: str) -> Sink:
    return Sink()


def _register(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    installed = EntryPoint(name="other", value=value, group="tokenmeter.backends")

    def entry_points(group: str, name: str) -> list[EntryPoint]:
        return [installed] if (group, name) == (installed.group, installed.name) else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


def test_the_console_shows_one_line_per_event(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Event(
        "text_generated",
        "evt_1",
        "cust\n1",
        MOMENT,
        {"model": "gpt-4o", "input_tokens": 12, "video_seconds": Decimal("1.5")},
    )
    receipt = ConsoleBackend().send([shown, event("evt_2")])
    assert receipt == Receipt(2)
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "2026-11-21T10:00:00.000Z text_generated cust 1 evt_1 "
        "model=gpt-4o input_tokens=12 video_seconds=1.5"
    )
    assert second.endswith("evt_2 input_tokens=12")


def test_a_name_does_not_depend_on_credentials_but_on_the_place() -> None:
    assert backend_name("flexprice://key1@us") == backend_name("flexprice://key2@us")
    assert backend_name("flexprice://key1@us") != backend_name("flexprice://key1@in")
    assert backend_name("memory:") == "memory"
    assert backend_name(Sink()) == "sink"
    assert backend_name("sqlite:///a.db") != backend_name("sqlite:///b.db")


def test_a_relative_file_is_known_by_its_full_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    here = backend_name("sqlite:///a.db")
    assert here == backend_name(f"sqlite:///{tmp_path}/a.db")
    monkeypatch.chdir("/")
    assert backend_name("sqlite:///a.db") != here


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x://key@host/p", "x://***@host/p"),
        ("x://u:p@q@host", "x://***@host"),
        ("GET https://h/p?token=abc failed", "GET https://h/p?*** failed"),
        ("plain", "plain"),
        ("two\nlines", "two lines"),
    ],
)
def test_masking_hides_credentials_and_nothing_else(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_send_is_no_coroutine_in_ours() -> None:
    for ours in (MemoryBackend, ConsoleBackend, FanOut):
        assert not inspect.iscoroutinefunction(ours.send)
