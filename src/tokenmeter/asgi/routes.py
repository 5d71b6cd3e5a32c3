"""Which requests are metered, and whose API they speak."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from tokenmeter.asgi.incoming import Incoming
from tokenmeter.capture.refusal import Dialect
from tokenmeter.errors import ConfigurationError
from tokenmeter.providers.hosts import host_of

DECODED_TIMES_MAX = 16  # a path that is still encoded after this is taken as it is
PATHS_KNOWN_MAX = 4096  # paths whose route is remembered,
KNOWN_CHARS_MAX = 512  # if they are no longer than this: the client chooses them

# The paths of the three SDKs, as they are under a changed base_url.
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("anthropic", re.compile(r"/v1/(?:messages|complete|dreams)(?:/|$)")),
    (
        "google-vertex",
        re.compile(
            r"/v1(?:beta1|beta)?/(?:projects/[^/]+/locations/|publishers/[^/]+/models/[^/]+:)"
            r"|/v1beta1/(?:interactions|cachedContents|decisions)(?:/|$)"
        ),
    ),
    (
        "google",
        re.compile(
            r"/v1(?:beta|alpha)?/(?:models/[^/]+(?::|/operations/)|(?:tunedModels|dynamic)/[^/]+:"
            r"|(?:interactions|cachedContents)(?:/|$)|files/batch-|batches/(?!batch_|$))"
            r"|/v1(?:beta|alpha)/(?:models/[^/]+/|batches|operations|openai/|decisions)"
            r"|/download/v1(?:beta|alpha)?/files/batch-"
        ),
    ),
    (
        "openai",
        re.compile(
            r"(?:/v1|/openai(?:/v1|/deployments/[^/]+)?)/(?:chat/completions|completions|responses"
            r"|embeddings|images/[a-z]+|videos|audio/[a-z]+|batches|threads|edits|decisions"
            r"|evals/[^/]+/runs|fine_tuning/jobs|containers)(?:/|$)"
            r"|/chat/completions/?$"
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
    url: str = field(init=False, repr=False, compare=False)  # without the query

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", f"https://{self.host or ''}{self.path}")

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
    None stands for the paths of OpenAI, Anthropic and Google, which are also known without a
    prefix. `custom` marks routes of the user's own.
    """

    def __init__(
        self,
        prefixes: Mapping[str, str | None],
        custom: Callable[[Incoming], bool] | None = None,
    ) -> None:
        longest_first = sorted(prefixes.items(), key=lambda item: -len(item[0]))
        self._prefixes = [(_prefix(prefix), name) for prefix, name in longest_first]
        if custom is not None and not callable(custom):
            raise ConfigurationError(f"routes={custom!r} is no function of the request")
        self._custom = custom
        self._remembered = lru_cache(maxsize=PATHS_KNOWN_MAX)(self._find)

    def known(self, path: str) -> Route | None:
        """Return the route of a path whose API we know."""
        return self._find(path) if len(path) > KNOWN_CHARS_MAX else self._remembered(path)

    def find(self, request: Incoming) -> Route | None:
        """Return the route of a request, or None if it is not metered."""
        if request.method == "OPTIONS":
            return None  # a browser's preflight: it has no key, and calls nothing
        path = request.path
        mounted = request.below_mount if request.scope.get("root_path") else path
        known = self._find if len(mounted) > KNOWN_CHARS_MAX else self._remembered
        route = known(mounted)
        if route is None and mounted is not path:
            route = self.known(path)
        if route is None and self._custom is not None and self._custom(request):
            return Route(normal(mounted))
        return route

    def _find(self, sent: str) -> Route | None:
        path = normal(sent)
        for prefix, name in self._prefixes:
            if _is_below(path, prefix):
                rest = path[len(prefix) :] or "/"
                if name is not None:
                    return Route(rest, name, host_of(name))
                path = rest
                break
        return _of_sdk(path)


def _is_below(path: str, prefix: str) -> bool:
    begins = path[: len(prefix)].lower() == prefix.lower()
    return begins and path[len(prefix) : len(prefix) + 1] in {"", "/"}


def _of_sdk(path: str) -> Route | None:
    """Find whose SDK asks for a path; in capitals it is the same path to some servers."""
    for spelled in (path, path.lower()):
        for name, shape in _SHAPES:
            if shape.match(spelled):
                return Route(spelled.rstrip("/"), name, host_of(name))
    return None


def normal(path: str) -> str:
    """
    Return a path as an application, or the server behind it, may come to read it.

    Percent signs are decoded, doubled slashes folded, ``.`` and ``..`` taken out, and what some
    servers cut off as well: an address before it, parameters, a query or a fragment that was
    encoded, blanks and control characters. A path that reaches a handler in some other spelling
    is metered just the same.
    """
    if _PLAIN.fullmatch(path):
        return path
    for _ in range(DECODED_TIMES_MAX):
        if "%" not in path:
            break
        path = unquote(path)
    path = _CUT_OFF.sub("", _ADDRESS.sub("", path))
    kept: list[str] = []
    parts = path.replace("\\", "/").split("/")
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and parts[-1] in {"", "."} else "")


@lru_cache(maxsize=PATHS_KNOWN_MAX)
def _spelled(path: str) -> str:
    found = normal(path)
    route = _of_sdk(found)
    return found.rstrip("/") or "/" if route is None else route.path


def plain(path: str) -> str:
    """Return the one spelling of a path: what is counted by it is counted once."""
    return _spelled.__wrapped__(path) if len(path) > KNOWN_CHARS_MAX else _spelled(path)


_PLAIN = re.compile(r"(?:/[A-Za-z0-9_:-][A-Za-z0-9_:.-]*)+")
_ADDRESS = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/\\?#]*")
_CUT_OFF = re.compile(r"[?#].*\Z|;[^/\\]*|[\x00-\x20\x7f]+", re.DOTALL)


def _prefix(prefix: str) -> str:
    if not prefix.startswith("/") or prefix == "/":
        raise ConfigurationError(
            f"prefixes names {prefix!r}; a prefix begins with a slash, such as '/openai'"
        )
    return prefix.rstrip("/")


def prefixes_of(given: Mapping[str, str] | Iterable[str]) -> dict[str, str | None]:
    """Read what the user wrote: a mapping, or just prefixes of the paths that SDKs ask for."""
    if isinstance(given, str):
        raise ConfigurationError(f"prefixes={given!r} is a text; use [{given!r}]")
    if not _is_iterable(given):
        raise ConfigurationError(f"prefixes={given!r} is no mapping; use {{'/kling': 'kling'}}")
    if not isinstance(given, Mapping):
        return {_text(prefix): None for prefix in given}
    return {_text(prefix): name and _text(name) for prefix, name in given.items()}


def _is_iterable(given: object) -> bool:
    return isinstance(given, Iterable)


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ConfigurationError(
            f"prefixes names {given!r}, which is no text; use {{'/kling': 'kling'}}"
        )
    return given
