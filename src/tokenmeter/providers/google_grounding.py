"""
What an answer of Gemini's was grounded in: searches of the web, of Google Maps, of files.

`webSearchQueries` names the queries of all of them; what they found (`groundingChunks`) tells
which. A stream repeats them in its chunks: each is marked, and the marks are counted at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenmeter.providers.base import Json, mapping, text
from tokenmeter.usage import Number

_QUERY = "query:"  # keys of `raw`: one per query
_FOUND = "grounded:"  # keys of `raw`: one per kind of what was found
_MAPS, _FILES, _WEB = "maps", "retrievedContext", ("web", "image")
_WIDGET = "googleMapsWidgetContextToken"
_QUERIES = ("webSearchQueries", "imageSearchQueries", "retrievalQueries")


def grounding_marks(candidate: Json) -> dict[str, Any]:
    """
    Name the queries, and the kinds of what was found.

    Google bills each different, non-empty query. Their hashes do, not their text.
    """
    grounding = mapping(candidate.get("groundingMetadata"))
    marks: dict[str, Any] = {}
    for name in _QUERIES:
        queries = grounding.get(name)
        for query in queries if isinstance(queries, list) else ():
            if text(query):
                marks[f"{_QUERY}{name}:{hash(query)}"] = True
    chunks = grounding.get("groundingChunks")
    for chunk in chunks if isinstance(chunks, list) else ():
        kinds = (kind for kind in (_MAPS, _FILES, *_WEB) if kind in mapping(chunk))
        marks.update((f"{_FOUND}{kind}", True) for kind in kinds)
    if text(grounding.get(_WIDGET)):
        marks[f"{_FOUND}{_MAPS}"] = True
    return marks


def grounded(marks: Mapping[str, Any]) -> dict[str, Number]:
    """
    Count the searches by kind.

    Two queries that found nothing but places are 2 of Maps. If pages were found as well, they
    are 2 of the web, and Maps has 1: which query was whose is not told.
    """
    searches = sum(key.startswith((f"{_QUERY}web", f"{_QUERY}image")) for key in marks)
    of_files = sum(key.startswith(f"{_QUERY}retrieval") for key in marks)
    found: dict[str, Number] = {}
    on_maps = f"{_FOUND}{_MAPS}" in marks
    if on_maps:
        alone = not any(f"{_FOUND}{kind}" in marks for kind in _WEB)
        found["maps_grounding_count"] = max(1, searches) if alone else 1
        searches = 0 if alone else searches
    if searches:
        found["web_search_count"] = searches
    if of_files or f"{_FOUND}{_FILES}" in marks:
        found["file_search_count"] = max(1, of_files)
    return found
