"""`tokenmeter jobs`: the pending ones with age, customer and estimate; polls over loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter
from tokenmeter.cli import app
from tokenmeter.cli.jobs_poll import Asking
from tokenmeter.cli.jobs_table import age
from tokenmeter.config import BACKEND_VARIABLE, HOME_VARIABLE, PRICES_VARIABLE
from tokenmeter.engine.local import Engine
from tokenmeter.errors import ConfigurationError
from tokenmeter.providers.polls import POLLS

Json = dict[str, Any]
ARK = "https://ark.ap-southeast.bytepluses.com/api/v3/contents/generations/tasks"
VEO = "https://generativelanguage.googleapis.com/v1beta/models/veo-3.1-generate-preview"
OPERATION = "models/veo-3.1-generate-preview/operations/o1"
DONE: Json = {
    "id": "cgt-1",
    "model": "seedance-1-5-pro-251215",
    "status": "succeeded",
    "usage": {"completion_tokens": 108900},
    "duration": 5,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No state, no backend and no key of whoever runs the tests."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    for variable in (BACKEND_VARIABLE, PRICES_VARIABLE, "KLING_ACCESS_KEY", "KLING_SECRET_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for asked in POLLS.values():
        for variable in asked.variables:
            monkeypatch.delenv(variable, raising=False)
    return tmp_path


def url(home: Path) -> str:
    return f"sqlite:///{home / 'usage.db'}"


def submit(home: Path, place: str, body: Json, answer: Json, customer: str = "acme") -> None:
    told = Answer(200, {"content-type": "application/json"}, [json.dumps(answer).encode()])
    meter = TokenMeter(url(home))
    with meter.attribute(customer=customer):
        meter.wrap(Player([told]).client(httpx2)).post(place, json=body)
    meter.shutdown()


def submit_seedance(home: Path, **answer: Any) -> None:
    body = {"model": DONE["model"], "duration": 5, "resolution": "720p", "ratio": "16:9"}
    submit(home, ARK, {**body, "generate_audio": False, "content": []}, {"id": "cgt-1", **answer})


def submit_veo(home: Path) -> None:
    body = {"instances": [{"prompt": "x"}], "parameters": {"durationSeconds": 8, "sampleCount": 2}}
    submit(home, f"{VEO}:predictLongRunning", body, {"name": OPERATION}, "globex")


def ran(home: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["jobs", *arguments, "--backend", url(home)])
    assert result.exit_code == code, result.output
    return result


def listed(home: Path, *arguments: str) -> list[Json]:
    found: list[Json] = json.loads(ran(home, "--json", *arguments).stdout)
    return found


def polled(home: Path, *arguments: str, code: int = 0) -> list[Json]:
    found: list[Json] = json.loads(ran(home, "poll", "--json", *arguments, code=code).stdout)
    return found


def test_pending_jobs_are_listed_with_age_customer_and_estimate(home: Path) -> None:
    submit_seedance(home)
    submit_veo(home)
    seedance, veo = sorted(listed(home), key=lambda job: job["provider"])
    assert (seedance["customer"], seedance["job_id"]) == ("acme", "cgt-1")
    assert 0 <= seedance["age_s"] < 60
    assert seedance["estimate_usd"] == ["0.13068", "0.13068"]  # 108,900 tokens at 1.2 a million
    assert (veo["customer"], veo["event_name"]) == ("globex", "video_generated")
    assert [float(end) for end in veo["estimate_usd"]] == [6.4, 6.4]  # 2 x 8 s x 0.40
    assert [job["job_id"] for job in listed(home, "--customer", "globex")] == [OPERATION]
    assert listed(home, "--provider", "kling") == []


def test_people_read_a_table(home: Path) -> None:
    assert "No job is pending" in ran(home).stdout
    submit_seedance(home)
    shown = ran(home).stdout
    assert all(word in shown for word in ("cgt-1", "acme", "seedance-1-5-pro", "0.13068"))


def test_a_job_that_has_no_price_is_listed_without_one(home: Path) -> None:
    submit(home, f"{ARK}", {"model": "seedance-9"}, {"id": "cgt-9"})
    (job,) = listed(home)
    assert job["estimate_usd"] is None
    assert "-" in ran(home).stdout


class Vendor(ThreadingHTTPServer):
    """A loopback provider; remembers who asked what, and answers with `end`."""

    daemon_threads = True
    end: tuple[int, Json] = (200, DONE)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.sent: list[Json] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Vendor)
        self.server.sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.do_GET()

    def do_GET(self) -> None:
        assert isinstance(self.server, Vendor)
        self.server.asked.append((self.path, self.headers.get("authorization")))
        status, body = self.server.end
        told = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    server = Vendor()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def at(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setenv("ARK_API_KEY", "secret")
    return ("--provider", "byteplus", "--base-url", vendor.base)


def test_a_poll_settles_what_has_ended(home: Path, vendor: Vendor, at: tuple[str, ...]) -> None:
    submit_seedance(home)
    (answer,) = polled(home, *at)
    assert (answer["result"], answer["customer"]) == ("settled", "acme")
    assert vendor.asked == [("/api/v3/contents/generations/tasks/cgt-1", "Bearer secret")]
    engine = Engine(url(home))
    (event,) = engine.events().events
    engine.close()
    assert (event.external_customer_id, event.usage.video_tokens) == ("acme", 108900)
    assert event.properties["cost_usd"] == "0.13068"
    assert listed(home) == polled(home, *at) == []
    assert "secret" not in (home / "usage.db").read_bytes().decode(errors="replace")


@pytest.mark.parametrize(
    ("end", "result", "reason", "code"),
    [
        ((200, {"id": "cgt-1", "status": "running"}), "going_on", None, 0),
        ((200, {"id": "cgt-1", "status": "expired"}), "failed", "expired", 0),
        ((404, {"error": {"code": "NotFound"}}), "refused", "HTTP 404", 1),
    ],
)
def test_what_a_poll_says_is_told(
    home: Path,
    vendor: Vendor,
    at: tuple[str, ...],
    end: tuple[int, Json],
    result: str,
    reason: str | None,
    code: int,
) -> None:
    submit_seedance(home)
    vendor.end = end
    (answer,) = polled(home, *at, code=code)
    assert (answer["result"], answer["reason"]) == (result, reason)
    assert (len(listed(home)) == 1) == (result != "failed")


def test_people_read_how_their_jobs_stand(home: Path, vendor: Vendor, at: tuple[str, ...]) -> None:
    assert "No job is pending" in ran(home, "poll", *at).stdout
    submit_seedance(home)
    vendor.end = (200, {"id": "cgt-1", "status": "queued"})
    assert "going_on" in ran(home, "poll", *at).stdout


def test_a_vendor_that_cannot_be_reached_leaves_the_job_pending(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARK_API_KEY", "secret")
    submit_seedance(home)
    gone = ("--provider", "byteplus", "--base-url", "http://127.0.0.1:9")
    (answer,) = polled(home, *gone, code=1)
    assert (answer["result"], answer["reason"]) == ("refused", "ConnectError")
    assert len(listed(home)) == 1


def test_what_cannot_be_asked_is_said(home: Path) -> None:
    submit_seedance(home)
    vertex = VEO.replace(
        "generativelanguage.googleapis.com/v1beta",
        "us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google",
    )
    submit(home, f"{vertex}:predictLongRunning", {}, {"name": f"projects/p/{OPERATION}"})
    submit(home, ARK.replace("ark.ap-southeast.bytepluses.com", "gate.example"), {}, {"id": "g"})
    reasons = {a["provider"]: a["reason"] for a in polled(home, code=1)}
    assert reasons["byteplus"] == "no key: set ARK_API_KEY"
    assert reasons["google-vertex"].startswith("no poll is known")
    assert "say by --like whose API it has" in reasons["gate.example"]


def test_an_operation_of_vertex_is_fetched_from_its_model(
    home: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "projects/p/locations/us-central1/publishers/google/models/veo-3.1-lite-generate-001"
    name = f"{model}/operations/o1"
    body = {"instances": [{"prompt": "x"}], "parameters": {"durationSeconds": 8}}
    place = f"https://us-central1-aiplatform.googleapis.com/v1/{model}:predictLongRunning"
    submit(home, place, body, {"name": name}, "globex")
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "token")
    done = {"name": name, "done": True, "response": {"videos": [{"gcsUri": "gs://x/1.mp4"}]}}
    vendor.end = (200, done)
    (answer,) = polled(home, "--provider", "google-vertex", "--base-url", vendor.base)
    assert (answer["result"], answer["customer"]) == ("settled", "globex")
    assert vendor.asked == [(f"/v1/{model}:fetchPredictOperation", "Bearer token")]
    assert vendor.sent == [{"operationName": name}]
    assert listed(home) == []


def test_a_gateways_jobs_are_asked_for_there(
    home: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARK_API_KEY", "secret")
    body = {"model": DONE["model"], "content": []}
    gate = ARK.replace("https://ark.ap-southeast.bytepluses.com", "https://gate.example/ark")
    submit(home, gate, body, {"id": "cgt-1"})
    at = ("--provider", "gate.example", "--like", "byteplus", "--base-url", f"{vendor.base}/ark")
    (answer,) = polled(home, *at)
    assert (answer["result"], answer["provider"]) == ("settled", "gate.example")
    assert vendor.asked == [("/ark/api/v3/contents/generations/tasks/cgt-1", "Bearer secret")]
    assert Asking(1, like="kling").address("https://api.klingai.com/tasks?task_ids=1", "g.x") == (
        "https://g.x/tasks?task_ids=1"
    )


def test_at_most_so_many_are_asked(home: Path, vendor: Vendor, at: tuple[str, ...]) -> None:
    for number in range(3):
        submit_seedance(home, id=f"cgt-{number}")
    vendor.end = (200, {"status": "running"})
    assert len(polled(home, *at, "--limit", "2")) == len(vendor.asked) == 2


def test_a_base_url_needs_a_provider_and_an_address(home: Path) -> None:
    mistake = ran(home, "poll", "--base-url", "http://127.0.0.1:9", code=2)
    assert "--provider" in mistake.stderr
    assert "--provider" in ran(home, "poll", "--like", "kling", code=2).stderr
    assert "none of alibaba" in ran(home, "poll", "--provider", "x", "--like", "y", code=2).stderr
    with pytest.raises(ConfigurationError, match="no http"):
        Asking(1, "ftp://x").hosts("kling")


def test_a_pair_of_klings_keys_signs_a_token(
    home: Path, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLING_ACCESS_KEY", "ak")
    monkeypatch.setenv("KLING_SECRET_KEY", "sk")
    submitted = {"code": 0, "data": {"task_id": "k1", "task_status": "submitted"}}
    submit(home, "https://api-singapore.klingai.com/v1/videos/text2video", {}, submitted)
    vendor.end = (200, {"code": 0, "data": [{"id": "k1", "status": "failed"}]})
    (answer,) = polled(home, "--provider", "kling", "--base-url", vendor.base)
    assert answer["result"] == "failed"
    ((path, key),) = vendor.asked
    assert path == "/tasks?task_ids=k1"
    assert key is not None
    claims = key.removeprefix("Bearer ").split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"] == "ak"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (90_000, "1 d")]
)
def test_an_age_is_written_in_its_largest_unit(seconds: int, text: str) -> None:
    assert age(seconds) == text
