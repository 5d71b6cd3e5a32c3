"""Which Flexprice, and with which key: ``flexprice://us``, a key that never shows."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from tokenmeter.delivery.masking import masked
from tokenmeter.errors import ConfigurationError

KEY_VARIABLE = "TOKENMETER_FLEXPRICE_API_KEY"
KEY_FILE_VARIABLE = "TOKENMETER_FLEXPRICE_API_KEY_FILE"
CLOUDS = {
    "us": "https://us.api.flexprice.io/v1",
    "in": "https://api.cloud.flexprice.io/v1",
}
API_ROOT = "/v1"  # where the API starts, unless the URL has a path
TIMEOUT_S = 10.0
TIMEOUT_MAX_S = 600.0
KEY_BYTES_MAX = 4_096
UNBILLED_SUFFIX = "_unbilled"

_OPTIONS = frozenset({"key_file", "timeout_s", "unbilled_suffix"})
_EXAMPLES = "flexprice://us, flexprice://in or flexprice+https://host/v1"
_KEY = re.compile(rb"[!-~]+")  # visible ASCII: what an HTTP header can carry


@dataclass(frozen=True, slots=True)
class Account:
    """A server, and the key for it: a text, or a file that is read again when it changes."""

    base_url: str
    key: str = field(default="", repr=False)
    key_file: Path | None = None
    timeout_s: float = TIMEOUT_S
    unbilled_suffix: str = UNBILLED_SUFFIX

    def current_key(self) -> str:
        """Return the key; ConfigurationError if its file holds none by now."""
        return self.key or _key_in(self.key_file)


def account(url: str, api_key: str | None = None, key_file: Path | None = None) -> Account:
    """
    Read ``flexprice://us?timeout_s=5``; ConfigurationError for what cannot be used.

    The key: `api_key`, the user part of the URL, `key_file` (or ``?key_file=``), else
    TOKENMETER_FLEXPRICE_API_KEY, else the file that TOKENMETER_FLEXPRICE_API_KEY_FILE names.
    """
    parts = _split(url)
    options = _options(parts.query)
    named = _checked(api_key if api_key is not None else unquote(parts.username or ""))
    path = key_file or (Path(options["key_file"]) if "key_file" in options else None)
    if not named and path is None:
        named, path = _from_environment()
    found = Account(
        _base_url(parts),
        named,
        None if named or path is None else path.expanduser().absolute(),
        _timeout_s(options.get("timeout_s")),
        options.get("unbilled_suffix", UNBILLED_SUFFIX),
    )
    found.current_key()  # a mistake in the file is raised now
    return found


def place(url: str) -> str:
    """Return what names the server in a URL: neither a key nor options."""
    return _base_url(_split(url))


def _split(url: str) -> SplitResult:
    if not url.isprintable() or " " in url:  # urlsplit() would drop a line break
        _refuse(url)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        _refuse(url)
    if parts.scheme not in {"flexprice", "flexprice+http", "flexprice+https"} or parts.fragment:
        _refuse(url)
    return parts


def _base_url(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2].lower()
    plain = parts.scheme == "flexprice"
    if plain and host in CLOUDS and not parts.path.strip("/"):
        return CLOUDS[host]
    if not host or (plain and not re.search(r"[.:]", host)):
        _refuse(parts.geturl())
    scheme = "http" if parts.scheme == "flexprice+http" else "https"
    return f"{scheme}://{host}{parts.path.rstrip('/') or API_ROOT}"


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ConfigurationError(
            f"a flexprice URL has no option {masked(min(unknown))[:40]!r}; "
            f"it has {', '.join(sorted(_OPTIONS))}."
        )
    return options


def _timeout_s(text: str | None) -> float:
    if text is None:
        return TIMEOUT_S
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII) or not (
        0 < float(text) <= TIMEOUT_MAX_S
    ):
        raise ConfigurationError(
            f"timeout_s must be a number of seconds up to {TIMEOUT_MAX_S:g}, not {text[:20]!r}."
        )
    return float(text)


def _from_environment() -> tuple[str, Path | None]:
    named = os.environ.get(KEY_VARIABLE)
    if named:
        return _checked(named), None
    kept = os.environ.get(KEY_FILE_VARIABLE)
    if kept:
        return "", Path(kept)
    raise ConfigurationError(
        f"Flexprice needs an API key; set {KEY_VARIABLE}, or {KEY_FILE_VARIABLE} to a file "
        "that holds it."
    )


def _key_in(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(KEY_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the file {str(path)!r} for Flexprice's API key cannot be read ({error.strerror})."
        ) from None
    named = _checked(content.rstrip(b"\r\n").decode("latin-1"))
    if not named:
        raise ConfigurationError(f"the file {str(path)!r} holds no API key; write it there.")
    return named


def _checked(key: object) -> str:
    """Return the key if a header can carry it; it is never shown, not even when it is wrong."""
    if not isinstance(key, str):
        raise ConfigurationError(f"Flexprice's API key must be a text, not {type(key).__name__}.")
    raw = key.encode("utf-8", "replace")
    if key and (len(raw) > KEY_BYTES_MAX or not _KEY.fullmatch(raw)):
        raise ConfigurationError(
            "Flexprice's API key has a line break, a space or another letter that no HTTP header "
            "can carry; copy it again."
        )
    return key


def _refuse(url: str) -> NoReturn:
    raise ConfigurationError(f"{masked(url)!r} names no Flexprice; use {_EXAMPLES}.")
