"""Which provider a request goes to, and what it gets there instead of the client's key."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upstream:
    """One provider: its address, and how it wants its key, which only the gateway knows."""

    base_url: str
    key_variable: str
    key_header: Callable[[str], Mapping[str, str]]

    def headers(self) -> Mapping[str, str]:
        """The header with the provider's key, from the environment."""
        return self.key_header(os.environ.get(self.key_variable, ""))


def _bearer(key: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key}"}


OPENAI = Upstream("https://api.openai.com", "OPENAI_API_KEY", _bearer)
ANTHROPIC = Upstream(
    "https://api.anthropic.com", "ANTHROPIC_API_KEY", lambda key: {"x-api-key": key}
)
GOOGLE = Upstream(
    "https://generativelanguage.googleapis.com",
    "GOOGLE_API_KEY",
    lambda key: {"x-goog-api-key": key},
)
BYTEPLUS = Upstream("https://ark.ap-southeast.bytepluses.com", "ARK_API_KEY", _bearer)

PREFIXES = {"/byteplus": "byteplus"}  # what the middleware is told, too


# What is metered, and what costs nothing beside it. All else is not offered: it may hand a
# provider's key to the client, or have work done that no answer here shows.
_OFFERED = re.compile(
    r"(?:/v1|/openai/v1|/v1beta/openai)/(?:audio|batches|chat/completions|completions|containers"
    r"|conversations|embeddings|files|images|models|moderations|responses|uploads|videos)(?:/|$)"
    r"|/v1/(?:assistants|threads|messages|complete)(?:/|$)"
    r"|/v1(?:beta|alpha)?/(?:models|files|operations|batches|interactions|cachedContents)(?:/|$)"
    r"|/v1(?:beta|alpha)?/(?:tunedModels|dynamic)/[^/]+:"
    r"|/(?:upload|download)/v1(?:beta|alpha)?/files(?:/|$)"
    r"|/byteplus/api/v3/(?:chat/completions|responses|embeddings|images|contents|files|models)(?:/|$)"
    r"|/byteplus/api/v3/(?:bots|context|batch)/chat/completions/?$"
)
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w:.@$~+-]+)+/?", re.ASCII)


def is_offered(path: str) -> bool:
    """Say whether a path asks for what is metered, or free; one that leads elsewhere is none."""
    return _OFFERED.match(path) is not None and _PLAIN.fullmatch(path) is not None


def upstream_of(path: str, headers: Mapping[str, str]) -> tuple[Upstream, str]:
    """Return where a request goes, and its path there."""
    if path.startswith("/byteplus/"):
        return BYTEPLUS, path.removeprefix("/byteplus")
    if path.startswith("/v1/messages") or headers.get("anthropic-version"):
        return ANTHROPIC, path
    if path.startswith(("/v1beta/", "/v1alpha/")) or headers.get("x-goog-api-key"):
        return GOOGLE, path
    return OPENAI, path
