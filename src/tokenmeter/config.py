"""Where tokenmeter keeps its state, and which backend it uses when none is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tokenmeter.errors import ConfigurationError

HOME_VARIABLE = "TOKENMETER_HOME"
BACKEND_VARIABLE = "TOKENMETER_BACKEND"
PRICES_VARIABLE = "TOKENMETER_PRICES"
DATABASE_NAME = "usage.db"


def state_directory() -> Path:
    """
    Return the folder for the journal and the default database; it may not exist yet.

    TOKENMETER_HOME if set, else the platform's place for the state of programs.
    """
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return _platform_state() / "tokenmeter"


def home_of(state_dir: object, *, in_memory: bool) -> Path | None:
    """Return where a meter keeps its state, wherever the program goes; None in memory."""
    if not isinstance(state_dir, str | Path | None):
        raise ConfigurationError(f"state_dir={state_dir!r} is no folder; write its path")
    if state_dir:
        return Path(state_dir).absolute()
    return None if in_memory else state_directory()


def make_state_directory() -> Path:
    """Make the state directory if it is not there, for this user alone, and return it."""
    path = state_directory()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the state directory {path} cannot be made ({error.strerror}); "
            f"set {HOME_VARIABLE} to a folder that can be written"
        ) from error
    return path


def default_backend_url() -> str:
    """Return TOKENMETER_BACKEND if set, else the SQLite file in the state directory."""
    named = os.environ.get(BACKEND_VARIABLE)
    return named or file_url(state_directory() / DATABASE_NAME)


def file_url(path: Path) -> str:
    """Return the backend URL of a SQLite file, whatever letters its name has."""
    return "sqlite:///" + path.as_posix().replace("%", "%25").replace("?", "%3F")


def prices_file() -> Path | None:
    """Return the user's own price list, TOKENMETER_PRICES, if there is one."""
    named = os.environ.get(PRICES_VARIABLE)
    return Path(named).expanduser() if named else None


def _platform_state() -> Path:
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ConfigurationError(
            f"this user has no home directory; set {HOME_VARIABLE} to a folder for the state"
        ) from error
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
