"""Which requests are metered, and whose API they speak."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from tokenmeter.asgi.incoming import Incoming
from tokenmeter.capture.refusal import Dialect
from tokenmeter.errors import ConfigurationError
from tokenmeter.providers.hosts import host_of

DECODED_TIMES_MAX = 3  # a path that is still encoded after this is taken as it is

# The paths of the three SDKs, as they are under a changed base_url.
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("anthropic", re.compile(r"/v1/messages(?:/|$)")),
    ("google-vertex", re.compile(r"/v1(?:beta1|beta)?/projects/[^/]+/locations/")),
    (
        "google",
        re.compile(
            r"/v1(?:beta|alpha)/(?:models/[^/]+[:/]|(?:tuned)?models/[^/]+:|interactions|batches"
            r"|operations|openai/)|/v1/models/[^/]+:"
        ),
    ),
    (
        "openai",
        re.compile(
            r"(?:/v1|/openai/deployments/[^/]+)/(?:chat/completions|completions|responses"
            r"|embeddings|images/[a-z]+|videos|audio/[a-z]+|batches|threads)(?:/|$)"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Route:
    """
    A request that is metered. `host` is that of the provider whose API its path speaks.

    `host` is None for a route of the user's own: its upstream calls are metered, its answer
    says nothing to us.
    """

    path: str  # without the prefix, normalised
    provider: str | None = None
    host: str | None = None

    @property
    def dialect(self) -> Dialect:
        """In which of three forms the caller expects an error."""
        if "/messages" in self.path:
            return "anthropic"
        speaks_google = self.provider in {"google", "google-vertex"}
        return "google" if speaks_google and "/openai/" not in self.path else "openai"


class Routes:
    """
    Finds the route of a request.

    `prefixes` maps a path prefix to the provider that stands behind it: ``{"/kling": "kling"}``;
    without a prefix the paths of OpenAI, Anthropic and Google are known. `custom` marks routes
    of the user's own.
    """

    def __init__(
        self,
        prefixes: Mapping[str, str],
        custom: Callable[[Incoming], bool] | None = None,
    ) -> None:
        longest_first = sorted(prefixes.items(), key=lambda item: -len(item[0]))
        self._prefixes = [(_prefix(prefix), name) for prefix, name in longest_first]
        self._custom = custom
        self.known: Callable[[str], Route | None] = lru_cache(maxsize=4096)(self._find)

    def find(self, request: Incoming) -> Route | None:
        """Return the route of a request, or None if it is not metered."""
        route = self.known(request.path)
        if route is None and self._custom is not None and self._custom(request):
            return Route(normal(request.path))
        return route

    def _find(self, sent: str) -> Route | None:
        path = normal(sent)
        for prefix, name in self._prefixes:
            if path == prefix or path.startswith(prefix + "/"):
                return Route(path[len(prefix) :] or "/", name, host_of(name))
        for name, shape in _SHAPES:
            if shape.match(path):
                return Route(path, name, host_of(name))
        return None


def normal(path: str) -> str:
    """
    Return a path as an application may come to read it: no tricks left.

    Percent signs are decoded, doubled slashes folded, ``.`` and ``..`` taken out: a path that
    reaches a handler in some other spelling is metered just the same.
    """
    for _ in range(DECODED_TIMES_MAX):
        if "%" not in path:
            break
        path = unquote(path)
    if "//" not in path and "/." not in path and "\\" not in path:
        return path
    kept: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if path.endswith("/") and kept else "")


def _prefix(prefix: str) -> str:
    if not prefix.startswith("/") or prefix == "/":
        raise ConfigurationError(
            f"prefixes names {prefix!r}; a prefix begins with a slash, such as '/openai'"
        )
    return prefix.rstrip("/")
