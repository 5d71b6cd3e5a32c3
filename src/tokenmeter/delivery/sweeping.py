"""Folders whose makers were killed before others could see them."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from tokenmeter.delivery.files import locked
from tokenmeter.delivery.writerlog import LOCK, remove

SWEEP_AFTER_S = 60.0  # a folder is made in less than a millisecond
_UNSEEN = re.compile(r"\.\d{13}-\d+-[0-9a-f]{8}")


def sweep(directory: Path) -> None:
    """Delete a folder that a process which was killed had begun to make; not a living one's."""
    if not _UNSEEN.fullmatch(directory.name):
        return
    with contextlib.suppress(OSError):  # its maker has finished it, or it is somebody else's
        if time.time() - directory.stat().st_mtime < SWEEP_AFTER_S:
            return
        try:
            lock_fd = locked(directory / LOCK, 0)
        except FileNotFoundError:
            directory.rmdir()  # fails if the lock is being made
            return
        if lock_fd is not None:
            remove(directory)
            os.close(lock_fd)
