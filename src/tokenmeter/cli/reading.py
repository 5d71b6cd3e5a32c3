"""What commands that read a backend share: its URL, opening it, times, `--json`."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.config import (
    BACKEND_VARIABLE,
    DATABASE_NAME,
    default_backend_url,
    file_url,
    make_state_directory,
    state_directory,
)
from tokenmeter.errors import ConfigurationError, QueryError
from tokenmeter.event import parse_timestamp

if TYPE_CHECKING:
    from tokenmeter.engine.local import Engine

SHOW_URL_MAX = 60

Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="URL",
        help=f"Where the events are, such as sqlite:///usage.db. Default: {BACKEND_VARIABLE}, "
        "else usage.db in the state directory.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="From this time on: 2026-11-01, 2026-11-01T08:30Z, or 7d (also m, h, w) ago.",
    ),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Up to this time, which is not included.")
]
Customer = Annotated[str | None, typer.Option(metavar="ID", help="Only this customer.")]
Environment = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Events that came to the server with a key of this environment; without it those "
        "of the unnamed one, where applications without a server keep theirs.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_UNREADABLE = {
    "memory": "a memory: backend lives in the process that made it and cannot be read from "
    "here; use sqlite:///usage.db to keep the events",
    "console": "a console: backend prints its events and keeps none, so there is nothing to "
    "read; use sqlite:///usage.db to keep them",
    "flexprice": "events sent to flexprice: are in Flexprice's cloud; look at them there",
}
_READABLE = frozenset({"sqlite", "postgresql", "postgres"})
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)


def open_engine(url: str | None, *, create: bool = False) -> Engine:
    """
    Open the engine behind a backend URL; say why if it cannot be read.

    The file must exist, unless it may be created.
    """
    chosen = url or default_backend_url()
    scheme = chosen.partition(":")[0].partition("+")[0].lower()
    if scheme in _UNREADABLE:
        raise ConfigurationError(_UNREADABLE[scheme])
    if scheme not in _READABLE:
        raise ConfigurationError(
            f"{_shown(chosen)} is no backend that can be read; use sqlite:///usage.db "
            "or postgresql://host/database"
        )
    # SQLAlchemy takes a while to import: `--help` and mistakes do not wait for it.
    from tokenmeter.engine.local import Engine
    from tokenmeter.engine.store.sqlite import database_path

    if scheme != "sqlite":
        return Engine(chosen)
    path = database_path(chosen)
    if path is None:
        raise ConfigurationError(_UNREADABLE["memory"])
    if create and chosen == file_url(state_directory() / DATABASE_NAME):
        make_state_directory()
    if not create and not path.exists():
        raise ConfigurationError(
            f"there is no file {path}; meter something first, or name another with --backend"
        )
    return Engine(chosen)


def instant(text: str | None, now: datetime) -> datetime | None:
    """Read a time a person writes: ISO 8601 (UTC unless it says otherwise), or 7d for ago."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return parse_timestamp(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise QueryError(
            f"{text[:40]!r} is not a time; write 2026-11-01, 2026-11-01T08:30Z or 7d"
        ) from error


def known_dimensions(engine: Engine, names: list[str]) -> list[str]:
    """Return the dimensions' own names; say which is neither a column nor any event's property."""
    from tokenmeter.engine.query import DIMENSIONS, dimension_name

    for name in names:
        if not engine.knows(name):
            raise QueryError(
                f"no event has a column or property {name[:40]!r}; "
                f"the columns are {', '.join(sorted(DIMENSIONS))}"
            )
    return [dimension_name(name) for name in names]


def print_json(answer: Any) -> None:
    """Print one JSON document."""
    json.dump(answer, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _shown(url: str) -> str:
    """Return the URL without what may be a password."""
    return re.sub(r"//[^/]*@", "//…@", url)[:SHOW_URL_MAX]
