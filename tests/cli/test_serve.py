"""`tokenmeter serve`, as a process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from tokenmeter.cli import app
from tokenmeter.cli.listening import listening, port_of
from tokenmeter.cli.serve import first_key, origin
from tokenmeter.engine.keys import ApiKeys
from tokenmeter.engine.local import Engine
from tokenmeter.errors import ConfigurationError

START_S_MAX = 30.0
KEY = "a-key-that-somebody-chose"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(database: str, key: str | None) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """The command, until the end of the block, when it is interrupted and must end well."""
    port = free_port()
    command = [sys.executable, "-c", "from tokenmeter.cli import main; main()", "serve"]
    command += ["--db", database, "--port", str(port)]
    environment = {**os.environ, **({} if key is None else {"TOKENMETER_API_KEY": key})}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        origin = f"http://127.0.0.1:{port}"
        until_healthy(origin)
        yield origin, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S_MAX)
        if process.stdout is not None:
            process.stdout.close()


def until_healthy(origin: str) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            assert httpx2.get(f"{origin}/health").json() == {"status": "ok"}
        except httpx2.ConnectError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
        else:
            return


def test_serve_takes_the_first_key_from_the_environment(tmp_path: Path) -> None:
    event = {"event_name": "api_calls", "external_customer_id": "c", "event_id": "evt_1"}
    with serving(f"sqlite:///{tmp_path / 'usage.db'}", KEY) as (origin, _):
        headers = {"x-api-key": KEY}
        reply = httpx2.post(f"{origin}/v1/events", json=event, headers=headers)
        assert reply.status_code == 202
        assert httpx2.get(f"{origin}/v1/meters").status_code == 401
    with Engine(f"sqlite:///{tmp_path / 'usage.db'}") as engine:
        assert [e.event_id for e in engine.events().events] == ["evt_1"]


def test_serve_makes_the_first_key_and_prints_it_once(tmp_path: Path) -> None:
    with serving(f"sqlite:///{tmp_path / 'usage.db'}", None) as (origin, process):
        assert process.stdout is not None
        secret = process.stdout.readline().rpartition(" ")[2].strip()
        headers = {"x-api-key": secret}
        assert httpx2.get(f"{origin}/v1/meters", headers=headers).status_code == 200
    with Engine(f"sqlite:///{tmp_path / 'usage.db'}") as engine:
        assert first_key(ApiKeys(engine.store), "", None) is None
        assert first_key(ApiKeys(engine.store), "staging", None) is not None


def test_serve_does_not_start_with_a_revoked_key(tmp_path: Path) -> None:
    with Engine(f"sqlite:///{tmp_path / 'usage.db'}") as engine:
        keys = ApiKeys(engine.store)
        keys.revoke("", keys.ensure("", KEY).key_id)
        with pytest.raises(ConfigurationError, match="revoked"):
            first_key(keys, "", KEY)


def test_serve_at_a_port_that_is_taken_says_so_and_makes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        database = f"sqlite:///{tmp_path / 'usage.db'}"
        result = CliRunner().invoke(app, ["serve", "--db", database, "--port", port])
    assert result.exit_code == 2
    assert result.output.startswith(f"tokenmeter: cannot listen at 127.0.0.1:{port} (")
    assert not (tmp_path / "usage.db").exists()


def test_a_host_that_is_nobodys_cannot_be_listened_at() -> None:
    with pytest.raises(ConfigurationError, match="name another --host"), listening("no host", 1):
        pass


def test_the_port_that_was_taken_for_zero_is_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tokenmeter", "serve", "--port", "0"]
    command += ["--db", f"sqlite:///{tmp_path / 'usage.db'}"]
    environment = {**os.environ, "TOKENMETER_API_KEY": KEY}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        try:
            until_healthy(said.rpartition(" at ")[2].removesuffix("/v1\n"))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_S_MAX)


def test_every_address_of_a_host_is_bound_at_one_port() -> None:
    with listening("localhost", 0) as bound:
        assert {made.getsockname()[1] for made in bound} == {port_of(bound)}
        assert all(made.proto == socket.IPPROTO_TCP for made in bound)
    assert all(made.fileno() == -1 for made in bound)
    assert (origin("::1", 80), origin("a", 80)) == ("http://[::1]:80", "http://a:80")


def test_the_default_database_is_made_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a new machine `tokenmeter catalog apply` and `serve` are what comes first."""
    monkeypatch.setenv("TOKENMETER_HOME", str(tmp_path / "not" / "yet"))
    monkeypatch.delenv("TOKENMETER_BACKEND", raising=False)
    result = CliRunner().invoke(app, ["keys", "create", "gateway"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "not" / "yet" / "usage.db").exists()
