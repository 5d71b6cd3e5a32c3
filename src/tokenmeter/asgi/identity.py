"""
Whose request is it: customer, feature and plan.

Identity never comes from what a client can forge: a header counts only if the peer is one of
the trusted proxies, and only if it is there once.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from tokenmeter.asgi.incoming import Incoming
from tokenmeter.asgi.proxies import Proxies
from tokenmeter.asgi.routes import plain
from tokenmeter.attribution import name_of
from tokenmeter.errors import ConfigurationError
from tokenmeter.frozen import value

NAME_CHARS_MAX = 256  # of a customer or feature; a longer one is no identity
NAMES_MAX = 4096  # that are remembered

Look = Callable[[Incoming], Any]  # returns what it found, or an awaitable of it
Source = Look | str


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
        if not _is_mapping(keys) or not keys or not all(map(_is_key, keys)):
            raise ConfigurationError(
                "ApiKeys needs keys that are texts; give it {key: customer, ...}"
            )
        if not all(map(_is_somebody, keys.values())):
            raise ConfigurationError(
                "ApiKeys has a key of nobody's; give each one a customer's name or an Identity"
            )
        self._by_hash = {_hashed(key): who for key, who in keys.items()}
        # Headers come as Latin-1, whatever they were written in.
        odd = {key: who for key, who in keys.items() if not key.isascii()}
        self._by_hash |= {_hashed(key.encode().decode("latin-1")): odd[key] for key in odd}

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
        proxies = Proxies(trusted_proxies)
        self._customer = _look(customer, "customer", proxies)
        self._feature = None if feature is None else _look(feature, "feature", proxies)
        self._plan = None if plan is None else _look(plan, "plan", proxies)
        self._asks_more = self._feature is not None or self._plan is not None

    def ask(self, request: Incoming) -> Identity | Awaitable[Identity]:
        """Say whose request this is; what is not known, or no plain name, is None."""
        found = self._customer(request)
        if not self._asks_more and type(found) is str and len(found) <= NAME_CHARS_MAX:
            return _customer(found)  # at once: the usual case, an API key
        if self._asks_more or not (found is None or isinstance(found, str)):
            return self._identified(found, request)
        return Identity(_name(found))

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
    if type(found) is str and len(found) <= NAME_CHARS_MAX:
        return _known_name(found)  # the usual case
    return None if found is None or isinstance(found, _NO_NAMES) else _looked_at(found)


def _looked_at(found: object) -> str | None:
    name = (name_of(found) or "").strip()
    if not (0 < len(name) <= NAME_CHARS_MAX and name.isprintable()):
        return None
    # An object that does not say how it is written is written with its address in memory.
    return None if name == object.__repr__(found) else name


_known_name = lru_cache(maxsize=NAMES_MAX)(_looked_at)


@lru_cache(maxsize=NAMES_MAX)
def _customer(name: str) -> Identity:
    return Identity(_looked_at(name))


_NO_NAMES = (dict, list, tuple, set, frozenset, bool)


def _is_mapping(given: object) -> bool:
    return isinstance(given, Mapping)


def _is_key(given: object) -> bool:
    return isinstance(given, str) and bool(given.strip())


def _is_somebody(given: object) -> bool:
    return isinstance(given, Identity) or _name(given) is not None


def _look(source: Source, what: str, proxies: Proxies) -> Look:
    if callable(source):
        return source
    if source == "path" and what != "customer":
        return _path
    kind, header = _header(source)
    if kind != "header":
        raise ConfigurationError(
            f"{what}={kind} is no source; use a function of the request, "
            f"{'ApiKeys({...}), ' if what == 'customer' else 'the word path, '}or 'header:NAME'"
        )
    if not proxies:
        raise ConfigurationError(
            f"{what}={source!r} can be forged by any client; name the proxies that set it in "
            "trusted_proxies=['10.0.0.0/8'], or use a function of the request"
        )
    return _trusted_header(header, proxies)


def _header(source: object) -> tuple[str, str]:
    """Return the word header, and its name; else how what was given may be shown."""
    if not isinstance(source, str):
        return type(source).__name__, ""  # it may be a mapping of keys
    kind, _, name = source.partition(":")
    name = name.strip().lower()
    return ("header", name) if kind == "header" and _TOKEN.fullmatch(name) else (repr(source), "")


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


def _trusted_header(name: str, proxies: Proxies) -> Look:
    def look(request: Incoming) -> str | None:
        if not proxies.sent(request):
            return None
        values = request.values(name)
        return values[0] if len(values) == 1 else None

    return look


def _path(request: Incoming) -> str:
    return plain(request.path)


def _hashed(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
