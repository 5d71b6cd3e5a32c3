"""Headers of httpx and httpx2, looked up in the list as it came: most are never asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RawHeaders = list[tuple[bytes, bytes]]


class ListedHeaders(Mapping[str, str]):
    """The headers of a raw list, by lower-case name; the last of several with one name counts."""

    __slots__ = ("_raw",)

    def __init__(self, raw: RawHeaders) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        wanted = name.encode("latin-1")
        length = len(wanted)
        for key, value in reversed(self._raw):
            if len(key) == length and key.lower() == wanted:
                return value.decode("latin-1")
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or the default; no exception is made to find out."""
        wanted = name.encode("latin-1")
        length = len(wanted)
        for key, value in reversed(self._raw):
            if len(key) == length and key.lower() == wanted:
                return value.decode("latin-1")
        return default

    def __iter__(self) -> Iterator[str]:
        return iter({key.decode("latin-1").lower(): None for key, _ in self._raw})

    def __len__(self) -> int:
        return len({key.lower() for key, _ in self._raw})
