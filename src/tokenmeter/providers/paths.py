"""The one spelling of a path that adapters are asked about."""

from __future__ import annotations

import re

# What servers read as if it were not there, and a colon that was encoded.
_SPELLED = re.compile(r"//|/\Z|%3a", re.IGNORECASE)
_SLASHES = re.compile(r"//+")
_COLON = re.compile(r"%3a", re.IGNORECASE)


def regular(path: str) -> str:
    """
    Return a path without doubled slashes and the slash at its end, its colons as such.

    ``//v1/models/m%3agenerateContent/`` is the ``/v1/models/m:generateContent`` that it asks
    a server for.
    """
    if _SPELLED.search(path) is None:
        return path
    return _COLON.sub(":", _SLASHES.sub("/", path)).rstrip("/") or "/"
