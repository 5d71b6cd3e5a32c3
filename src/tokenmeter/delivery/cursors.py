"""The files that say for each backend up to where it has taken a log's records."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CURSOR = ".cursor"
_DIGITS_MAX = 20


def cursor_path(directory: Path, backend: str) -> Path:
    """Return where the cursor of a backend is kept."""
    return directory / (backend + _CURSOR)


def is_cursor(path: Path) -> bool:
    """Say whether this is the name of a cursor's file."""
    return path.suffix == _CURSOR


def cursor_names(directory: Path) -> list[str]:
    """Return the backends that the log in this directory is for."""
    return sorted(path.stem for path in directory.glob("*" + _CURSOR))


def cursors_in(directory: Path) -> dict[str, int]:
    """Read the cursors; one that cannot be read is 0: better sent twice than never."""
    return {name: _cursor(cursor_path(directory, name)) for name in cursor_names(directory)}


def _cursor(path: Path) -> int:
    try:
        with path.open("rb") as file:
            text = file.read(_DIGITS_MAX + 1)
    except FileNotFoundError:
        raise  # the log is being removed
    except OSError:
        return 0
    return int(text) if text.isdigit() and len(text) <= _DIGITS_MAX else 0


def persist(directory: Path, backend: str, offset: int) -> None:
    """Write a cursor; whoever is killed meanwhile leaves the old one or the new one."""
    path = f"{directory}/{backend}"  # each receipt comes by here: no Path is made
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(fd, b"%d" % offset)
    finally:
        os.close(fd)
    os.replace(f"{path}.new", path + _CURSOR)  # noqa: PTH105  as above


def strike(directory: Path, backend: str) -> None:
    """A backend has everything."""
    cursor_path(directory, backend).unlink(missing_ok=True)


def ends_a_record(segment: Path, position: int) -> bool:
    """
    Say whether a cursor may stand at a position of a segment.

    Behind its last byte there is nothing to read, and nothing to say against it.
    """
    before = b""
    with contextlib.suppress(OSError), segment.open("rb") as file:
        file.seek(position - 1)
        before = file.read(1)
    return before in {b"\n", b""}
