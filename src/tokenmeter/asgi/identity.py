"""
Whose request is it: customer, feature and plan.

Identity never comes from what a client can forge: a header counts only if the peer is one of
the trusted proxies, and only if it is there once.
"""

from __future__ import annotations

import hashlib
import inspect
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from tokenmeter.asgi.incoming import Incoming
from tokenmeter.errors import ConfigurationError
from tokenmeter.frozen import value

NAME_CHARS_MAX = 256  # of a customer or feature; a longer one is no identity

Look = Callable[[Incoming], Any]  # returns what it found, or an awaitable of it
Source = Look | str
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@value(frozen=True, slots=True)
class Identity:
    """Who pays, for what part of the product, on which plan."""

    customer: str | None = None
    feature: str | None = None
    plan: str | None = None


class ApiKeys:
    """
    Customers by their API keys: ``customer=ApiKeys({"key-of-acme": "acme"})``.

    A value may be an Identity. Only hashes of the keys are kept.
    """

    def __init__(self, keys: Mapping[str, str | Identity]) -> None:
        if not keys or not all(keys):
            raise ConfigurationError("ApiKeys has no keys; give it {key: customer, ...}")
        self._by_hash = {_hashed(key): who for key, who in keys.items()}

    def __call__(self, request: Incoming) -> str | Identity | None:
        """Return whose key the request carries, or None."""
        key = request.api_key
        return None if key is None else self._by_hash.get(_hashed(key))

    def __repr__(self) -> str:
        return f"ApiKeys({len(self._by_hash)} keys)"


class Identifier:
    """Asks the sources that the user configured; raises ConfigurationError for a wrong one."""

    def __init__(
        self,
        customer: Source | None,
        feature: Source | None,
        plan: Source | None,
        trusted_proxies: Iterable[str],
    ) -> None:
        if customer is None:
            raise ConfigurationError(
                "TokenMeterMiddleware does not know whose requests it meters; give it customer= "
                "a function of the request, ApiKeys({...}), or 'header:NAME' with trusted_proxies="
            )
        networks = tuple(_network(proxy) for proxy in trusted_proxies)
        self._customer = _look(customer, "customer", networks)
        self._feature = None if feature is None else _look(feature, "feature", networks)
        self._plan = None if plan is None else _look(plan, "plan", networks)
        self._asks_more = self._feature is not None or self._plan is not None

    def ask(self, request: Incoming) -> Identity | Awaitable[Identity]:
        """Say whose request this is; what is not known, or no plain name, is None."""
        found = self._customer(request)
        if self._asks_more or not (found is None or isinstance(found, str)):
            return self._identified(found, request)
        return Identity(_name(found))  # at once: the usual case, an API key

    async def _identified(self, found: Any, request: Incoming) -> Identity:
        if _is_to_come(found):
            found = await found
        who = found if isinstance(found, Identity) else Identity(_name(found))
        feature, plan = who.feature, who.plan
        if self._feature is not None and not feature:
            told = self._feature(request)
            feature = _name(await told if _is_to_come(told) else told)
        if self._plan is not None and not plan:
            told = self._plan(request)
            plan = _name(await told if _is_to_come(told) else told)
        if feature is who.feature and plan is who.plan and who is not found:
            return who
        return Identity(_name(who.customer), feature, plan)


_PLAIN = (str, type(None), Identity)


def _is_to_come(found: object) -> bool:
    return not isinstance(found, _PLAIN) and inspect.isawaitable(found)


def _name(found: object) -> str | None:
    """A name that can go into an event and a header; anything else is none."""
    if found is None:
        return None
    name = str(found).strip()
    return name if 0 < len(name) <= NAME_CHARS_MAX and name.isprintable() else None


def _look(source: Source, what: str, networks: tuple[Network, ...]) -> Look:
    if callable(source):
        return source
    if source == "path" and what != "customer":
        return _path
    kind, _, header = source.partition(":")
    if kind != "header" or not header.strip():
        raise ConfigurationError(
            f"{what}={source!r} is no source; use a function of the request, "
            f"{'' if what == 'customer' else 'the word path, '}or 'header:NAME'"
        )
    if not networks:
        raise ConfigurationError(
            f"{what}={source!r} can be forged by any client; name the proxies that set it in "
            "trusted_proxies=['10.0.0.0/8'], or use a function of the request"
        )
    return _trusted_header(header.strip().lower(), networks)


def _trusted_header(name: str, networks: tuple[Network, ...]) -> Look:
    @lru_cache(maxsize=4096)
    def trusted(peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in networks)

    def look(request: Incoming) -> str | None:
        if request.client is None or not trusted(request.client):
            return None
        values = request.values(name)
        return values[0] if len(values) == 1 else None

    return look


def _path(request: Incoming) -> str:
    return request.path


def _network(proxy: str) -> Network:
    try:
        return ipaddress.ip_network(proxy)
    except ValueError as error:
        raise ConfigurationError(
            f"trusted_proxies names {proxy!r}, which is no address or network; use '10.0.0.0/8'"
        ) from error


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
