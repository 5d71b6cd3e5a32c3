"""What `tokenmeter doctor` finds about a state directory and a backend, and what is wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tokenmeter.delivery import deadletters, status
from tokenmeter.delivery.backends import open_backend
from tokenmeter.delivery.jobs import JobStore
from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.survey import Waiting, reasons, survey, write_error
from tokenmeter.errors import TokenmeterError

FREE_BYTES_MIN = 64 * 1024 * 1024
AGE_S_MAX = 600.0  # what waits longer than this is not on its way
SKEW_S_MAX = 30.0


@dataclass(slots=True)
class Checkup:
    """The facts; `problems` says in sentences what is wrong, and what to do."""

    state_dir: str
    backend: str
    write_error: str | None = None
    free_bytes: int | None = None
    journal: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    dead_letters: dict[str, int] = field(default_factory=dict[str, int])  # by reason
    held: int = 0
    jobs_pending: int = 0
    last_errors: dict[str, Any] = field(default_factory=dict[str, Any])  # by backend
    unpriced_models: dict[str, int] = field(default_factory=dict[str, int])
    unattributed: int = 0
    check: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[str] = field(default_factory=list[str])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


Stored = Callable[[str], Mapping[str, Any]]
Absent = Callable[[str], str | None]


def nothing_absent(_url: str) -> str | None:
    """Say that a backend may be opened: opening makes no file."""
    return None


def examine(
    url: str, state_dir: Path, stored: Stored | None = None, absent: Absent = nothing_absent
) -> Checkup:
    """
    Look at the state directory, then at the backend.

    `stored` tells of a local database what this layer cannot know: `unpriced`, by model, and
    `unattributed`; `absent` says if there is none yet, which looking at it would make.
    """
    found = Checkup(str(state_dir), masked(url))
    if state_dir.is_dir():
        _look_at_disk(found, state_dir)
        _look_at_journal(found, survey(state_dir))
        _look_at_letters(found, state_dir)
        _look_at_status(found, state_dir)
        _look_at_jobs(found, state_dir)
    nothing = absent(url)
    if nothing is not None:
        found.check = {"reachable": False, "error": nothing}
        _judge(found)
    else:
        _look_at_backend(found, url)
        if stored is not None:
            _look_at_stored(found, url, stored)
    if found.unpriced_models:
        models = ", ".join(list(found.unpriced_models)[:5])
        found.problems.append(
            f"there are events without a price ({models}); `tokenmeter prices check` says more"
        )
    return found


def _look_at_disk(found: Checkup, state_dir: Path) -> None:
    found.write_error = write_error(state_dir)
    if found.write_error:
        found.problems.append(f"{state_dir} cannot be written ({found.write_error})")
    space = os.statvfs(state_dir)
    found.free_bytes = space.f_bavail * space.f_frsize
    if found.free_bytes < FREE_BYTES_MIN:
        found.problems.append(f"the disk of {state_dir} has {found.free_bytes:,} bytes left")


def _look_at_journal(found: Checkup, waiting: list[Waiting]) -> None:
    for each in waiting:
        found.journal.append(asdict(each))
        if each.torn:
            found.problems.append(
                f"{each.torn} records for {each.backend} are damaged and will be skipped"
            )
        if each.records and not each.processes:
            found.problems.append(
                f"{each.records} records for {each.backend} wait for a process that delivers "
                "them; start your program, or run `tokenmeter doctor --deliver`"
            )
        elif each.oldest_age_s > AGE_S_MAX:
            found.problems.append(
                f"{each.records} records for {each.backend} wait, "
                f"the oldest for {each.oldest_age_s:,.0f} s"
            )


def _look_at_letters(found: Checkup, state_dir: Path) -> None:
    found.dead_letters = reasons(state_dir)
    found.held = deadletters.count(state_dir, deadletters.HELD)
    if found.dead_letters:
        found.problems.append(
            f"{sum(found.dead_letters.values())} events were refused; correct what the reasons "
            "name, then run `tokenmeter doctor --replay`"
        )
    if found.held:
        found.problems.append(
            f"{found.held} events have no customer and are held back; name it with "
            "`tokenmeter doctor --attribute CUSTOMER`"
        )


def _look_at_status(found: Checkup, state_dir: Path) -> None:
    models: Counter[str] = Counter()
    for name, told in status.read_all(state_dir).items():
        models.update(told["unpriced"])
        found.unattributed += told["unattributed"]
        if told["last_error"]:
            found.last_errors[name] = told["last_error"]
    found.unpriced_models = dict(models.most_common())
    found.unattributed = max(found.unattributed, found.held)  # told a few seconds late


def _look_at_jobs(found: Checkup, state_dir: Path) -> None:
    path = state_dir / "jobs.db"
    if not path.is_file():
        return
    try:
        jobs = JobStore(path)
    except TokenmeterError as error:
        found.problems.append(str(error))
        return
    try:
        found.jobs_pending = len(jobs.pending())
    except TokenmeterError as error:
        found.problems.append(str(error))
    finally:
        jobs.close()


def _look_at_backend(found: Checkup, url: str) -> None:
    try:
        backend = open_backend(url)
    except TokenmeterError as error:
        found.check = {"reachable": False, "error": str(error)}
        found.problems.append(f"the backend cannot be opened: {error}")
        return
    check: Callable[[], dict[str, Any]] | None = getattr(backend, "check", None)
    try:
        found.check = check() if check is not None else {"reachable": True}
    except Exception as error:  # noqa: BLE001  a border: it may be anybody's backend
        said = masked(f"{type(error).__name__}: {error}")
        found.check = {"reachable": False, "error": said}
    finally:
        backend.close()
    _judge(found)


def _judge(found: Checkup) -> None:
    if found.check.get("error"):
        found.problems.append(str(found.check["error"]))
    skew = found.check.get("clock_skew_s") or 0.0
    if abs(skew) > SKEW_S_MAX:
        found.problems.append(
            f"this clock is {abs(skew):,.0f} s {'behind' if skew > 0 else 'ahead of'} the "
            "server's; events may count in the wrong period"
        )


def _look_at_stored(found: Checkup, url: str, stored: Stored) -> None:
    try:
        told = stored(url)
    except TokenmeterError as error:
        found.problems.append(str(error))
        return
    if told:  # the database knows better than what processes counted
        found.unpriced_models = dict(told["unpriced"])
        found.unattributed = told["unattributed"]
