"""Headers as HTTP libraries and servers have them: looked up as bytes, decoded if asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

RawHeaders = list[tuple[bytes, bytes]]


class Headers(Mapping[str, str]):
    """Header values by lower-case name, of a repeated one the last."""

    __slots__ = ("known",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.known: Mapping[bytes, bytes] = {name.lower(): value for name, value in raw}

    def __getitem__(self, name: str) -> str:
        return self.known[name.encode("latin-1")].decode("latin-1")

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or the default."""
        value = self.known.get(name.encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode("latin-1") in self.known

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self.known)

    def __len__(self) -> int:
        return len(self.known)
