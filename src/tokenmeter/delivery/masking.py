"""Text that may be shown: credentials in URLs are left out."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=//)[^?#\s]*@")
_QUERY = re.compile(r"(?<=\S)[?#]\S*=\S*")
_HIDDEN = "***"


def masked(text: str) -> str:
    """Return `text` fit for a log: ``x://key@host?token=1`` becomes ``x://***@host?***``."""
    shown = _QUERY.sub(f"?{_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))
    return "".join(c if c.isprintable() else " " for c in shown)
