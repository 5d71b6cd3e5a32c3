"""Pages of documents: the database chooses and sorts what it can, the rest is looked at here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tokenmeter.engine.definitions.registry import Body
from tokenmeter.engine.definitions.search import Listing, Search, page_of
from tokenmeter.engine.store.documents import Document, Documents, Order, Sort


@dataclass(frozen=True, slots=True)
class Listed:
    """A kind of documents as a search sees it: `names` are the fields that are always text."""

    kind: str
    names: frozenset[str]
    parent: str = ""  # the field that names what it hangs on


def page_in(
    documents: Documents, listed: Listed, wanted: Search, show: Callable[[Document], Body]
) -> Listing:
    """Return a page of what `show` makes of the documents."""
    equal, rest = wanted.split(listed.names)
    parent = wanted.parent
    if parent is None and len(equal.get(listed.parent, ())) == 1:
        (parent,) = equal[listed.parent]
    if not rest.is_plain:
        found = documents.all(listed.kind, parent=parent, status=wanted.status, equal=equal)
        return page_of(map(show, found), rest)
    sort: Sort = "updated_at" if wanted.sort == "updated_at" else "created_at"
    order: Order = "asc" if wanted.order == "asc" else "desc"
    page = documents.list(
        listed.kind,
        parent=parent,
        status=wanted.status,
        equal=equal,
        limit=wanted.limit,
        offset=wanted.offset,
        sort=sort,
        order=order,
    )
    return Listing(tuple(map(show, page.items)), page.total)
