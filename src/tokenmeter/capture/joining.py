"""An application behind our own gateway: the gateway's events are named, not made twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import cast
from urllib.parse import urlsplit

from tokenmeter.capture.requests import Sent
from tokenmeter.errors import ConfigurationError

EVENT_ID_HEADER, RUN_ID_HEADER = "x-tokenmeter-event-id", "x-tokenmeter-run-id"
_ID_CHARS_MAX = 200
_PORTS = {"http": ":80", "https": ":443"}


def joined_id(gateways: Collection[str], sent: Sent, headers: Mapping[str, str]) -> str | None:
    """
    Return the id that our gateway gave the event of this exchange, the last if there are more.

    "" if it is metered there, and its event is not known yet: a job was submitted, or the answer
    is long. From an origin that the configuration does not list the headers say nothing.
    """
    if not gateways or origin(sent.url) not in gateways:
        return None
    last = headers.get(EVENT_ID_HEADER, "").rpartition(",")[2].strip()
    if 0 < len(last) <= _ID_CHARS_MAX and last.isprintable():
        return last
    return "" if RUN_ID_HEADER in headers else None


def origins(urls: object) -> frozenset[str]:
    """Return the origins of the gateways that a user lists; raises ConfigurationError."""
    several = isinstance(urls, Iterable) and not isinstance(urls, str)
    return frozenset(map(_listed, cast("Iterable[object]", urls) if several else [urls]))


def _listed(url: object) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigurationError(
            f"gateways names {url!r}; use an origin such as 'https://gateway.internal:8080'"
        )
    return origin(str(url))


def origin(url: str) -> str:
    """Return scheme, host and port of a URL; a default port is left out."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0].rpartition("@")[2].lower()
    scheme = scheme.lower()
    return f"{scheme}://{authority.removesuffix(_PORTS.get(scheme, ''))}"
