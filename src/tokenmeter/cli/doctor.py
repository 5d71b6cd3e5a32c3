"""`tokenmeter doctor`: what waits, what was refused, whether the backend answers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import AsJson, Backend, open_engine, print_json
from tokenmeter.config import default_backend_url, state_directory
from tokenmeter.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenmeter.delivery.checkup import Checkup
    from tokenmeter.delivery.replay import Replayed

app = typer.Typer(add_completion=False)

EXIT_ILL = 1
UNPRICED = {"cost_source": "unpriced"}
DELIVER_TIMEOUT_S = 30.0

Replay = Annotated[bool, typer.Option("--replay", help="Send the dead letters again.")]
Attribute = Annotated[
    str | None,
    typer.Option(metavar="CUSTOMER", help="Name the customer of events held back; send them."),
]
RunId = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="With --attribute: only this run's.")
]
Deliver = Annotated[
    bool, typer.Option("--deliver", help="Deliver what processes that ended have left.")
]
TimeoutS = Annotated[
    float, typer.Option("--timeout", min=0.0, help="Seconds that a delivery may take.")
]


@app.command()
def doctor(
    *,
    backend: Backend = None,
    replay: Replay = False,
    attribute: Attribute = None,
    run: RunId = None,
    deliver: Deliver = False,
    timeout: TimeoutS = DELIVER_TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Say whether events arrive: backend, key, clock, journal, dead letters, prices."""
    from tokenmeter.delivery.checkup import examine  # only here: --help does not wait for it

    url = backend or default_backend_url()
    again = _replayed(replay=replay, attribute=attribute, run=run)
    delivered = _delivered(url, timeout) if deliver or again is not None else None
    found = examine(url, state_directory(), _stored, _absent)
    if as_json:
        print_json({**_plain(again, delivered=delivered), **found.to_dict()})
    else:
        _say(again, delivered=delivered)
        _show(found)
    if found.problems:
        raise typer.Exit(EXIT_ILL)


def _replayed(*, replay: bool, attribute: str | None, run: str | None) -> Replayed | None:
    if not replay and attribute is None:
        return None
    from tokenmeter.delivery.replay import Replayed, attribute_held, replay_dead

    home = state_directory()
    done = replay_dead(home) if replay else Replayed()
    if attribute is None:
        return done
    held = attribute_held(home, attribute, run)
    return Replayed(done.again + held.again, done.left + held.left)


def _delivered(url: str, timeout_s: float) -> bool:
    from tokenmeter.meter import TokenMeter

    return TokenMeter(url).shutdown(timeout_s)


def _absent(url: str) -> str | None:
    """Say that there is no database yet: to open it would make it, and hide a misspelled name."""
    if url.partition(":")[0] != "sqlite":
        return None
    from tokenmeter.engine.store.sqlite import database_path

    try:
        path = database_path(url)
    except ConfigurationError:
        return None  # opening it says why
    if path is None or path.exists():
        return None
    return f"nothing is there yet: no file {path}; the first program that meters makes it"


def _stored(url: str) -> dict[str, Any]:
    """Ask a local database for unpriced models and events of nobody; {} of any other."""
    if url.partition(":")[0] not in {"sqlite", "postgresql"}:
        return {}
    from tokenmeter.attribution import UNATTRIBUTED

    with open_engine(url) as engine:
        unpriced = engine.usage(by=["model", "event_name"], filters=UNPRICED, metrics=[])
        nobody = engine.usage(filters={"customer": UNATTRIBUTED}, metrics=[])
    models: Counter[str] = Counter()
    for row in unpriced:  # what is recorded by hand may name no model
        models[str(row.group["model"] or row.group["event_name"])] += row.unpriced
    return {"unpriced": dict(+models), "unattributed": sum(row.events for row in nobody)}


def _plain(again: Replayed | None, *, delivered: bool | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if again is not None:
        told |= {"replayed": again.again, "left": again.left}
    return told if delivered is None else {**told, "delivered": delivered}


def _say(again: Replayed | None, *, delivered: bool | None) -> None:
    if again is not None:
        typer.echo(f"{again.again} events sent on their way again, {again.left} left")
    if delivered is not None:
        typer.echo("everything is delivered" if delivered else "not everything is delivered yet")


def _show(found: Checkup) -> None:
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.doctor_table import print_checkup

    print_checkup(found)
