"""What `tokenmeter doctor` prints for people: a line per fact, then what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tokenmeter.cli.tables import DASH, console, shown, table
from tokenmeter.delivery.checkup import Checkup

MODELS_SHOWN = 5


def print_checkup(found: Checkup) -> None:
    """Print the facts as a table, then the problems."""
    screen = console()
    made = table(("What", "Found"), numbers=())
    for name, fact in _facts(found):
        made.add_row(shown(name), shown(fact))
    screen.print(made)
    for problem in found.problems:
        screen.print(shown(f"! {problem}"), style="yellow")
    if not found.problems:
        screen.print("Nothing is wrong.")


def _facts(found: Checkup) -> Iterator[tuple[str, str]]:
    yield "backend", found.backend
    yield "reachable", _yes(found.check.get("reachable"))
    if "key_accepted" in found.check:
        yield "key accepted", _yes(found.check["key_accepted"])
    skew = found.check.get("clock_skew_s")
    if skew is not None:
        yield "clock skew", f"{skew:.1f} s"
    yield "state directory", found.state_dir
    yield from _journal(found)
    yield "dead letters", str(sum(found.dead_letters.values()))
    for reason, count in found.dead_letters.items():
        yield "  refused", f"{count} x {reason}"
    yield "held back", str(found.held)
    yield "jobs pending", str(found.jobs_pending)
    yield "unpriced models", _counts(found.unpriced_models)
    yield "unattributed events", str(found.unattributed)
    for name, error in found.last_errors.items():
        yield "last error", f"{error.get('at')} {name}: {error.get('error')}"


def _journal(found: Checkup) -> Iterator[tuple[str, str]]:
    for log in found.journal:
        waits = f"{log['records']} records, {log['bytes']:,} bytes for {log['backend']}"
        since = f"the oldest {log['oldest_age_s']:.0f} s; {log['processes']} processes write"
        yield "journal", f"{waits}, {since}"
    if not found.journal:
        yield "journal", "empty"


def _counts(models: Mapping[str, int]) -> str:
    some = [f"{model} ({count})" for model, count in list(models.items())[:MODELS_SHOWN]]
    return ", ".join(some) or DASH


def _yes(known: object) -> str:
    return DASH if known is None else "yes" if known else "no"
