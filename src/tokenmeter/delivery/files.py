"""Descriptors: cut, copy, close, wait for the disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

sync = getattr(os, "fdatasync", os.fsync)


def open_to_append(path: Path, *, fsync: bool) -> int:
    """Open a file that is new; OSError if that cannot be. With fsync its name is on the disk."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if fsync:
            sync_directories(path.parent, path.parent.parent)
    except OSError:
        close(fd)
        raise
    return fd


def write_whole(fd: int, line: bytes) -> None:
    """Write all of a record or nothing of it, which is an OSError."""
    written = os.write(fd, line)
    if written != len(line):
        cut(fd, written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def cut(fd: int, written: int) -> None:
    """Take the part of a record off the disk again; if that fails too, readers skip it."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, os.fstat(fd).st_size - written)


Identity = tuple[int, int]  # a file's device and inode
NO_FILE: Identity = (0, 0)


def identity(fd: int) -> Identity:
    """Tell the file of a descriptor from all others; OSError if it is closed."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def is_file(fd: int, file: Identity, *, also_deleted: bool = False) -> bool:
    """Whether a descriptor still is this file: not closed, given to another one, or deleted."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == file and (also_deleted or found.st_nlink > 0)


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


def size(path: Path) -> int:
    """Return how long a file is; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def locked(path: Path, flags: int) -> int | None:
    """Open the file and lock it; None if somebody else holds it, or deleted it meanwhile."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None
