"""What a delivery is configured with: one backend or several, each with a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from tokenmeter.delivery.backends import BackendSpec, backend_name, open_backend
from tokenmeter.delivery.backends.fanout import FanOut
from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.delivery.protocol import Backend
from tokenmeter.errors import ConfigurationError, TokenmeterError

_FILE = "sqlite:///"


def parts_of(spec: BackendSpec) -> list[str | Backend]:
    """Take a fan-out apart; what is no backend at all stays, for open_backend to refuse."""
    if isinstance(spec, FanOut):
        return list(spec.backends)
    if isinstance(spec, (list, tuple)) and spec:
        return [part for each in spec for part in parts_of(each)]
    part = cast("str | Backend", spec)
    return [anchored(part) if isinstance(part, str) else part]


def anchored(url: str) -> str:
    """Let a URL mean the same file wherever the program goes: a forked child opens it anew."""
    path = url.removeprefix(_FILE)
    if path == url or not path or path.startswith((":memory:", "file:")):
        return url
    return _FILE + str(Path(path).absolute())


def open_parts(parts: Sequence[str | Backend]) -> list[Backend]:
    """Open each, or none of them."""
    opened: list[Backend] = []
    try:
        for part in parts:
            opened.append(open_backend(part))  # noqa: PERF401  what is open must be closed
    except TokenmeterError:
        close_all(opened)
        raise
    return opened


def close_all(backends: Sequence[Backend]) -> None:
    """Close each."""
    for backend in backends:
        backend.close()


def names_of(parts: Sequence[str | Backend]) -> list[str]:
    """Name the backends; the second of the same name is numbered."""
    names: list[str] = []
    for part in parts:
        name = backend_name(part)
        copies = sum(known.partition("~")[0] == name for known in names)
        names.append(f"{name}~{copies + 1}" if copies else name)
    return names


def private_directory(backends: Sequence[Backend]) -> Path:
    """Make a temporary state directory, which only backends in memory can do with."""
    if not all(isinstance(backend, MemoryBackend) for backend in backends):
        raise ConfigurationError("a backend other than memory: needs a state directory.")
    import tempfile  # only needed here, and not light

    return Path(tempfile.mkdtemp(prefix="tokenmeter-"))
