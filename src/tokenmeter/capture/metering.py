"""What `@metered` takes; here, and not beside the decorator, which needs wrapt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

Who = str | Callable[..., str | None] | None  # a name, or a function of the same arguments
Extract = Callable[[Any], Mapping[str, Any] | None]  # makes metrics, and dimensions beside them


class Metering(TypedDict, total=False):
    """The options of `@metered`."""

    customer: Who
    feature: Who
    environment: str | None
    tags: Mapping[str, str] | None
    extract: Extract | None
    event_name: str | None
