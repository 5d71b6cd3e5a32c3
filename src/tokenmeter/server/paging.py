"""Lists: the query of a GET, the body of a search, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from tokenmeter.engine.definitions.search import (
    LIMIT,
    LIMIT_MAX,
    OFFSET_MAX,
    Listing,
    Search,
    search_of,
)
from tokenmeter.server.wire import Reply

SEARCH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
        "offset": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0},
        "status": {"enum": ["published", "archived", "deleted"]},
        "filters": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "operator": {"type": "string"},
                    "value": {"type": "object"},
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The paging of a GET, and the rest of its query."""

    paging: Mapping[str, object]
    request: Request

    def search(self, names: Mapping[str, str]) -> Search:
        """Read it as a search; `names` are the kind's own parameters."""
        query = self.request.query_params
        own = {name: query.getlist(name) for name in names if name in query}
        return search_of({**self.paging, **own}, names)


def _asked(
    request: Request,
    *,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT,
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX)] = 0,
    status: str = "published",
    sort: str = "created_at",
    order: str = "desc",
    expand: str = "",
) -> Asked:
    paging = {"limit": limit, "offset": offset, "status": status, "sort": sort, "order": order}
    return Asked({**paging, "expand": expand}, request)


ListQuery = Annotated[Asked, Depends(_asked)]


def listed(listing: Listing, search: Search, *, searched: bool = False) -> Reply:
    """Answer a list. After a search Flexprice names the next offset, after a GET this one."""
    offset = search.offset + search.limit if searched else search.offset
    return Reply(listed_body(listing.items, listing.total, search.limit, offset))


def listed_body(items: Any, total: int, limit: int, offset: int) -> Mapping[str, Any]:
    """Write a page of a list."""
    return {
        "items": list(items),
        "pagination": {"total": total, "limit": limit, "offset": offset},
    }
