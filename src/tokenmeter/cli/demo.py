"""`tokenmeter demo`: the real SDKs against recorded answers, metered for two customers."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import print_json
from tokenmeter.config import file_url
from tokenmeter.errors import MissingExtraError, TokenmeterError

if TYPE_CHECKING:
    from tokenmeter.engine.query import UsageRow
    from tokenmeter.event import Event

app = typer.Typer(add_completion=False)

DELIVERY_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 1.0  # a thread that ends later may write to a folder that is being deleted
FOLDER = "tokenmeter-demo-"
BY = ("customer", "model_type")
OWN_BACKEND = "sqlite:///usage.db"
OWN = f'tokenmeter.configure(backend="{OWN_BACKEND}"); tokenmeter.instrument()'

Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="URL",
        help="Where the events go, such as sqlite:///usage.db. Default: a new temporary file.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one run of the demo has to show."""

    backend: str
    sdks: str
    events: list[Event]
    usage: list[UsageRow]


@app.command()
def demo(*, backend: Backend = None, as_json: AsJson = False) -> None:
    """Meter real OpenAI, Anthropic and Google calls; no keys, no network."""
    if as_json:
        print_json(_plain(run_demo(backend)))
        return
    from tokenmeter.cli.tables import console

    screen = console()
    with screen.status("Starting ...") as status:
        found = run_demo(backend, lambda what: status.update(f"{what} ..."))
    print_demo(screen, found)


def _silently(_what: str) -> None:
    """Announce nothing."""


def run_demo(backend: str | None, announce: Callable[[str], None] = _silently) -> Shown:
    """Make the calls of the demo, deliver their events and return what was metered."""
    announce("Loading the SDKs")
    sdks = _installed()
    url = backend or _temporary()
    with tempfile.TemporaryDirectory(prefix=FOLDER, ignore_cleanup_errors=True) as state:
        events = _events_of_calls(url, Path(state), announce)
    return Shown(url, sdks, events, _usage(events))


def print_demo(screen: Any, found: Shown) -> None:
    """Print the tables, and what to do next."""
    from tokenmeter.cli.demo_report import print_report

    screen.print(f"{found.sdks}; answers from cassettes: no keys, no network.\n")
    print_report(screen, found.events, found.usage)
    screen.print()
    for line in next_steps(found.backend):
        screen.print(line, soft_wrap=True, highlight=False)


def next_steps(backend: str) -> tuple[str, str]:
    """Say in two lines how to look at the events, and how to meter one's own program."""
    look = f"Keep the events: tokenmeter demo --backend {OWN_BACKEND}"
    if backend.startswith("sqlite:"):
        look = f"Look at them:    tokenmeter usage --backend {backend}"
    return look, f"Meter your own:  {OWN}"


def _installed() -> str:
    """Import the SDKs and name their versions; raises MissingExtraError."""
    try:
        import anthropic
        import openai
        import vcr  # type: ignore[import-untyped]  # noqa: F401
        from google import genai
    except ImportError as error:
        raise MissingExtraError(
            f"the demo needs the providers' SDKs and vcrpy ({error}); "
            'run pip install "tokenmeter[demo]", or in a checkout pip install -e ".[demo]"'
        ) from error
    return (
        f"openai {openai.__version__}, anthropic {anthropic.__version__}, "
        f"google-genai {genai.__version__}"
    )


def _temporary() -> str:
    folder = Path(tempfile.mkdtemp(prefix=FOLDER))
    return file_url(folder / "usage.db")


def _events_of_calls(url: str, state: Path, announce: Callable[[str], None]) -> list[Event]:
    """Meter the calls into the backend; return the priced events, in their order."""
    from tokenmeter.cli.demo_calls import scenes
    from tokenmeter.cli.demo_replay import played
    from tokenmeter.delivery.backends.memory import MemoryBackend
    from tokenmeter.meter import TokenMeter

    session = uuid.uuid4().hex[:12]
    copies = MemoryBackend()
    meter = TokenMeter([url, copies], state_dir=state)
    meter.instrument()
    try:
        for scene in scenes(session):
            announce(f"Calling for {scene.customer}: {scene.feature}")
            with (
                _explained(scene.feature),
                meter.attribute(scene.customer, scene.feature, "demo"),
                played(scene.cassette, session=session),
            ):
                scene.call()
        announce("Delivering the events")
        delivered = meter.flush(DELIVERY_TIMEOUT_S)
        reason = meter.health()["last_error"]
    finally:
        meter.shutdown(CLOSE_TIMEOUT_S)
    if not delivered:
        raise TokenmeterError(f"{url} did not take the events ({reason}); name another backend")
    return copies.events


@contextmanager
def _explained(call: str) -> Generator[None]:
    """Say what to do when a cassette does not answer what an SDK asks."""
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise TokenmeterError(
            f"the demo's call {call!r} failed ({what}); its cassettes may not fit the SDKs "
            'installed: run pip install -U "tokenmeter[demo]"'
        ) from error


def _usage(events: list[Event]) -> list[UsageRow]:
    from tokenmeter.engine.local import Engine

    with Engine("sqlite:///:memory:") as engine:
        engine.ingest(events)
        return engine.usage(by=BY)


def _plain(found: Shown) -> dict[str, Any]:
    from tokenmeter.cli.demo_report import fates

    rows = [
        {
            **row.group,
            "events": row.events,
            "failed": row.failed,
            "cost_usd": None if row.cost_usd is None else format(row.cost_usd, "f"),
            "usage": {name: str(n) for name, n in row.usage.items()},
        }
        for row in found.usage
    ]
    return {
        "backend": found.backend,
        "events": [event.to_dict() for event in found.events],
        "usage": rows,
        "attempts": [fate.to_dict() for fate in fates(found.events)],
    }
