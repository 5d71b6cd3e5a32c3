"""What tools that the provider runs may add to a call: for those who pay by what a quote says."""

from __future__ import annotations

from typing import NamedTuple

from tokenmeter.pricing.counting import DRAWS, UNREAD_TOKENS
from tokenmeter.pricing.prompt import Prompt, read_tools
from tokenmeter.providers.base import Json, mapping
from tokenmeter.providers.media import whole

SEARCHES = 10  # of one call that states no limit
_SEARCHES = ("websearch", "googlesearch", "xsearch")  # and more behind it: websearch20250305


class Toolwork(NamedTuple):
    """The most that the provider's tools may read and search, if they are used."""

    tokens: int
    searches: int


def toolwork(body: Json) -> Toolwork:
    """Return what the tools of a request may add to what is billed."""
    searches = 1 if "web_search_options" in body else 0  # a model that searches once by itself
    if not body.get("tools"):
        return Toolwork(searches * UNREAD_TOKENS, searches)
    read_tools(body, prompt := Prompt([]))
    served = prompt.served - {DRAWS}
    for name in filter(_is_search, served):
        searches += _limit(body, name) or SEARCHES
    return Toolwork(UNREAD_TOKENS * max(len(served), min(searches, 1)), searches)


def _is_search(name: str) -> bool:
    plain = name.lower().replace("_", "")
    return plain.startswith(_SEARCHES) or plain == "enterprisewebsearch"


def _limit(body: Json, name: str) -> int | None:
    """Return how often a tool may be used: by its own limit, or by that of all tools."""
    tools = body["tools"] if isinstance(body["tools"], list) else []
    uses = (
        whole(tool.get("max_uses")) for tool in map(mapping, tools) if tool.get("type") == name
    )
    return next(uses, None) or whole(body.get("max_tool_calls"))
