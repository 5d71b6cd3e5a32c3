"""Requests a second through forwarders to one upstream: bare ones, our gateway, LiteLLM."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from capture_envs import NotInstalledError, environment

ROOT = Path(__file__).parents[1]
GOALS = {"proxy": 0.85, "starlette": 0.85, "litellm": 5.0}
ROUNDS = 3
CONNECTIONS = 8
START_S_MAX = 120.0  # LiteLLM's proxy takes its time
PORTS = {"upstream": 18401, "proxy": 18402, "starlette": 18403, "gateway": 18404, "litellm": 18405}
TITLES = {
    "proxy": "the example's proxy alone",
    "starlette": "Starlette and httpx2",
    "gateway": "the example gateway",
    "litellm": "LiteLLM's proxy",
}
KEY = "sk-" + 8 * "0123456789abcdef"  # LiteLLM takes no weak one
LITELLM = ("litellm[proxy]>=1.80",)

SERVER = """
import sys
sys.path[:0] = [sys.argv[1] + "/examples", sys.argv[1] + "/benchmarks"]
import uvicorn
kind, port, upstream, home = sys.argv[2:6]
if kind == "upstream":
    from gateway_load import bare as app
else:
    from gateway_forwarders import forwarder
    app = forwarder(kind, upstream, home)
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")
"""
CONFIG = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{upstream}/v1", api_key: none}}
litellm_settings: {{telemetry: false}}
"""


def forwarder(kind: str, upstream: str, home: str) -> Any:
    """Build a forwarder to one upstream."""
    import httpx2
    from gateway import proxy, upstreams

    local = upstreams.Upstream(upstream, "NO_KEY", lambda _key: {})

    def goes_to(path: str, _headers: Mapping[str, str]) -> tuple[upstreams.Upstream, str]:
        return local, path

    if kind == "gateway":
        from gateway.app import create_app

        from tokenmeter import TokenMeter

        os.environ["TOKENMETER_HOME"] = home
        told = {urlsplit(upstream).netloc: "openai"}  # so that a call has a price
        meter = TokenMeter(f"sqlite:///{home}/usage.db", hosts=told)
        return create_app(meter, {KEY: "acme"}, goes_to=goes_to)
    if kind == "proxy":
        return proxy.Proxy(proxy.create_client(), lambda _request: True, goes_to)
    client = httpx2.AsyncClient(timeout=proxy.TIMEOUT, limits=proxy.LIMITS)
    return _by_starlette(client, upstream)


def _by_starlette(client: Any, upstream: str) -> Any:
    """Build the forwarder that one writes first."""
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def forward(request: Any) -> Any:
        sent = client.build_request(
            request.method,
            upstream + request.url.path,
            headers={k: v for k, v in request.headers.items() if k not in {"host"}},
            content=await request.body(),
        )
        answer = await client.send(sent, stream=True)
        return StreamingResponse(
            answer.aiter_raw(),
            answer.status_code,
            dict(answer.headers),
            background=BackgroundTask(answer.aclose),
        )

    return Starlette(routes=[Route("/{path:path}", forward, methods=["POST"])])


def over_sockets(seconds: float, asked: str) -> None:
    """Print requests a second through each, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        kinds = [kind for kind in TITLES if kind != "litellm"]
        commands = {kind: _command(kind, folder) for kind in ("upstream", *kinds)}
        try:
            commands["litellm"] = _litellm(Path(folder))
            kinds.append("litellm")
        except NotInstalledError as error:
            print(f"LiteLLM's proxy is not measured: {error}")
        with _running(commands) as pids:
            found: dict[str, list[Rate]] = {kind: [] for kind in kinds}
            for kind in kinds:
                asyncio.run(_rate(PORTS[kind], 1.0, asked))  # warm
            for _ in range(ROUNDS):
                for kind, rates in found.items():
                    before_s = _cpu_s(pids[kind])
                    made, took_s = asyncio.run(_rate(PORTS[kind], seconds, asked))
                    rates.append(Rate(made / took_s, made / (_cpu_s(pids[kind]) - before_s)))
    middle = {
        kind: Rate(*map(statistics.median, zip(*r, strict=True))) for kind, r in found.items()
    }
    print(f"load average {os.getloadavg()[0]:.1f}: what counts beside other load is the second")
    print(f"{'':28} requests/s at {CONNECTIONS} connections, requests per second of CPU")
    for kind, rate in middle.items():
        print(f"{TITLES[kind]:28} {rate.per_s:8.0f} {rate.per_cpu_s:8.0f}")
    for kind, goal in GOALS.items():
        if kind in middle:
            _told(f"gateway / {TITLES[kind]}", middle["gateway"], middle[kind], goal)


class Rate(NamedTuple):
    """How many requests were answered."""

    per_s: float
    per_cpu_s: float  # of the whole process: journal, shipper and pricing are in it


def _told(what: str, ours: Rate, theirs: Rate, goal: float) -> None:
    wall, cpu = ours.per_s / theirs.per_s, ours.per_cpu_s / theirs.per_cpu_s
    print(
        f"{what}: {wall:.2f}, by CPU {cpu:.2f} (goal {goal}), {'met' if cpu >= goal else 'missed'}"
    )


def _cpu_s(pid: int) -> float:
    """Return how long a process's threads have run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _command(kind: str, folder: str) -> list[str]:
    upstream = f"http://127.0.0.1:{PORTS['upstream']}"
    return [sys.executable, "-c", SERVER, str(ROOT), kind, str(PORTS[kind]), upstream, folder]


def _litellm(folder: Path) -> list[str]:
    python = environment("litellm-proxy", LITELLM)
    config = folder / "litellm.yaml"
    config.write_text(CONFIG.format(upstream=f"http://127.0.0.1:{PORTS['upstream']}"))
    port = str(PORTS["litellm"])
    program = str(python.parent / "litellm")
    return [program, "--config", str(config), "--host", "127.0.0.1", "--port", port]


@contextmanager
def _running(commands: Mapping[str, list[str]]) -> Generator[dict[str, int]]:
    told = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_MASTER_KEY": KEY}
    started = {
        kind: subprocess.Popen(
            command,
            env={**os.environ, **told},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if kind == "litellm" else None,
        )
        for kind, command in commands.items()
    }
    try:
        for kind in commands:
            _await(PORTS[kind])
        yield {kind: process.pid for kind, process in started.items()}
    finally:
        for each in started.values():
            each.terminate()
        for each in started.values():
            each.wait(30)


def _await(port: int) -> None:
    import socket

    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on {port}")


async def _rate(port: int, seconds: float, asked: str) -> tuple[int, float]:
    import httpx2

    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"

    async def client(until: float) -> int:
        made = 0
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            while time.monotonic() < until:
                answer = await http.post(url, content=asked)
                assert answer.status_code == 200, answer.text
                made += 1
        return made

    begun = time.monotonic()
    made = await asyncio.gather(*(client(begun + seconds) for _ in range(CONNECTIONS)))
    return sum(made), time.monotonic() - begun
