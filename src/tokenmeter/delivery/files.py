"""Descriptors: cut, close, wait for the disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

sync = getattr(os, "fdatasync", os.fsync)


def cut(fd: int, written: int) -> None:
    """Take the part of a record off the disk again; if that fails too, readers skip it."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, os.fstat(fd).st_size - written)


def close(fd: int) -> None:
    """Close a descriptor; -1 is none."""
    if fd >= 0:
        with contextlib.suppress(OSError):  # the record is written; a late EIO changes nothing
            os.close(fd)


def sync_directories(*directories: Path) -> None:
    """Wait until the names in these directories are on the disk."""
    for directory in directories:
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
