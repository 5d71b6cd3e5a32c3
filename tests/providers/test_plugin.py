"""Adapters of other packages: found when installed, and harmless when broken."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenmeter import providers
from tokenmeter.capture.plugins import ENTRY_POINTS, load_plugins
from tokenmeter.providers import find

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider_plugin"
INSTALL = ("install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target")
CALLS = """
import json, sys
import httpx2
import tokenmeter
from tokenmeter.capture.plugins import load_plugins

assert "tokenmeter_acme" not in sys.modules, "a plug-in is loaded with the first meter"
load_plugins()

def answer(request):
    spent = {"in": 12, "kept": 10, "out": 34}
    body = {"id": "ans_7", "engine": "acme-2", "text": "Hi", "spent": spent}
    return httpx2.Response(200, json=body)

meter = tokenmeter.TokenMeter("memory:")
meter.instrument()
with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
    with meter.attribute(customer="cust_001"):
        client.post("https://api.acme.test/v1/answers", json={"engine": "acme-latest"})
        client.get("https://api.acme.test/v1/answers")
meter.flush()
print(json.dumps([event.to_dict() for event in meter.backend.events]))
meter.shutdown()
"""


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_package_is_metered_once_it_is_installed(tmp_path: Path) -> None:
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", *INSTALL, str(target), str(EXAMPLE))
    said = run(sys.executable, "-W", "error", "-c", CALLS, PYTHONPATH=str(target))
    (event,) = json.loads(said)
    assert (event["event_name"], event["external_customer_id"]) == ("text_generated", "cust_001")
    wanted = {
        "provider": "acme",
        "model": "acme-2",
        "request_model": "acme-latest",
        "operation": "answers",
        "input_tokens": 22,
        "cache_read_tokens": 10,
        "output_tokens": 34,
        "usage_source": "reported",
    }
    assert wanted.items() <= event["properties"].items()


def test_a_provider_is_one_file_and_one_line() -> None:
    files = [path.name for path in EXAMPLE.rglob("*.py") if "build" not in path.parts]
    assert files == ["tokenmeter_acme.py"]
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {ENTRY_POINTS: {"acme": "tokenmeter_acme:ADAPTER"}}


def test_each_of_our_providers_is_one_line_of_the_registry() -> None:
    home = Path(providers.__file__).parent
    with_adapter = {
        path.stem for path in home.glob("*.py") if "\nADAPTER = " in path.read_text("utf-8")
    }
    assert with_adapter == set(providers.REGISTRY)
    assert len(providers.adapters()) >= len(providers.REGISTRY)


def test_the_example_adapter_reads_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    adapter: Any = __import__("tokenmeter_acme").ADAPTER
    call = adapter.describe(providers.Request("POST", "api.acme.test", "/v1/answers"))
    events = [
        {"text": "H", "last": False},
        {"spent": {"in": -1, "out": 2, "gpu": 3}, "last": True},
    ]
    first, last = map(call.api.read, events)
    found = call.api.settle(first | last, call)
    assert (first.state, found.state, dict(found.usage)) == (None, "success", {"output_tokens": 2})
    assert set(found.flags) == {"invalid:in", "unknown:gpu"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of installed packages; what it plugs in is taken out again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(providers, "_plugged", [])
    load_plugins.cache_clear()
    yield tmp_path
    load_plugins.cache_clear()
    providers.by_host.cache_clear()


def install(site: Path, name: str, code: str) -> None:
    """Write a package as pip would leave it behind."""
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{name} = {name}:ADAPTER\n")


GOOD = """
import re
from tokenmeter.providers import Adapter
ADAPTER = Adapter("good", lambda request: None, ("api.good.test",), paths=re.compile("/good$"))
"""


def test_a_broken_plug_in_is_logged_once_and_left_out(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "plug_raises", "raise RuntimeError('broken')")
    install(site, "plug_no_adapter", "ADAPTER = 7")
    install(site, "plug_nothing", "")
    install(site, "plug_good", GOOD)
    with caplog.at_level(logging.ERROR, "tokenmeter"):
        load_plugins()
        load_plugins()
    told = sorted(record.getMessage() for record in caplog.records)
    assert [message.split(" ")[6] for message in told] == [
        "plug_no_adapter",
        "plug_nothing",
        "plug_raises",
    ]
    assert "names a int, and must name a tokenmeter.providers.Adapter" in told[0]
    known = find("api.good.test", "/")
    assert known is not None
    assert (known.name, find("elsewhere.test", "/v1/good")) == ("good", known)


def test_what_our_adapters_know_stays_theirs(site: Path) -> None:
    code = GOOD.replace("api.good.test", "api.openai.com").replace("/good$", "/chat/completions$")
    install(site, "plug_greedy", code)
    load_plugins()
    for host in ("api.openai.com", "gateway.test"):
        found = find(host, "/v1/chat/completions")
        assert found is not None
        assert found.name == "openai"


def test_a_host_that_was_asked_for_before_is_known_once_it_is_plugged_in(site: Path) -> None:
    assert find("api.good.test", "/") is None
    install(site, "plug_late", GOOD)
    load_plugins()
    assert find("api.good.test", "/") is not None
