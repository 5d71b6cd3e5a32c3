"""One virtual environment per peer, because their requirements exclude each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

INSTALL_S_MAX = 300
CACHE_VARIABLE = "TOKENMETER_BENCH_CACHE"
SDK = "opentelemetry-sdk"


@dataclass(frozen=True)
class Peer:
    """An instrumentation that others make, and what it needs beside the openai client."""

    name: str  # as in capture_subjects.SUBJECTS
    title: str
    needs: tuple[str, ...]


PEERS = (
    Peer(
        "otel-v2",
        "OpenTelemetry openai-v2",
        # It imports httpx without asking for it, and its newest helper does not fit it.
        (
            SDK,
            "opentelemetry-instrumentation-openai-v2",
            "httpx",
            "opentelemetry-util-genai==1.0b0",
        ),
    ),
    Peer(
        "otel-genai",
        "OpenTelemetry genai-openai",
        (SDK, "opentelemetry-instrumentation-genai-openai"),
    ),
    Peer("openllmetry", "OpenLLMetry", (SDK, "opentelemetry-instrumentation-openai")),
    Peer("langfuse", "Langfuse", ("langfuse",)),
)


class NotInstalledError(Exception):
    """A peer cannot be measured; the message says why."""


def python_of(peer: Peer, *, fresh: bool = False) -> Path:
    """
    Return the interpreter of a peer's environment; made now if it is not there, or if `fresh`.

    Raises NotInstalledError.
    """
    needs = (f"openai=={version('openai')}", *peer.needs)
    return environment(peer.name, needs, fresh=fresh)


def environment(name: str, needs: tuple[str, ...], *, fresh: bool = False) -> Path:
    """Return the interpreter of an environment that holds `needs`. Raises NotInstalledError."""
    folder = _cache() / name
    done = folder / "installed.txt"
    wanted = "\n".join(needs)
    if fresh or not done.exists() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {name} below {folder}", file=sys.stderr, flush=True)
        _install(folder, needs)
        done.write_text(wanted)
    return folder / "bin" / "python"


def _cache() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "tokenmeter-bench"


def _install(folder: Path, needs: tuple[str, ...]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    python = str(folder / "bin" / "python")
    if uv:
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        _run(uv, "pip", "install", "--quiet", "--python", python, *needs)
    else:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(python, "-m", "pip", "install", "--quiet", *needs)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S_MAX)
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(last_line(error.stderr)) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(str(error)) from None


def last_line(text: str) -> str:
    """Return the line in which tools say what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
