"""Descriptors: cut, copy, close, wait for the disk."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

sync = getattr(os, "fdatasync", os.fsync)


def cut(fd: int, written: int) -> None:
    """Take the part of a record off the disk again; if that fails too, readers skip it."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, os.fstat(fd).st_size - written)


def is_file(fd: int, inode: int, *, also_deleted: bool = False) -> bool:
    """Whether a descriptor still is this file: not closed, given to another one, or deleted."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return found.st_ino == inode and (also_deleted or found.st_nlink > 0)


def copy(fd: int, path: Path) -> None:
    """Write a new file with what a descriptor's file holds; OSError if that cannot be."""
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    path.touch(mode=0o600, exist_ok=False)
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())


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


def unwritten_s(directory: Path, suffix: str) -> float | None:
    """Return for how long no file with this suffix has been written; None if there is none."""
    times = [path.stat().st_mtime for path in directory.glob(f"*{suffix}")]
    return time.time() - max(times) if times else None
