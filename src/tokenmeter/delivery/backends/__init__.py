"""
Backends by URL: ``memory:``, ``console:``, ``flexprice:``, and by entry point all others.

The engine's own, ``sqlite:///path``, is one of these: delivery does not know the engine.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import Backend
from tokenmeter.errors import ConfigurationError, TokenmeterError

BackendSpec = str | Backend | Sequence[str | Backend]

ENTRY_POINTS = "tokenmeter.backends"
_KNOWN = "memory:, console:, sqlite:///usage.db or flexprice://us"
_REMEDY = f"use {_KNOWN}, or install the package that provides it"
_REMEDIES = {  # a copied or frozen program may have lost the entry points that we install
    "sqlite": "install tokenmeter again: what it installed beside its code is missing"
}
_DRIVEN = {"postgresql+psycopg": "postgresql"}  # as SQLAlchemy writes it
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def open_backend(spec: BackendSpec) -> Backend:
    """
    Return the backend that a URL names; an object with send() and close() is itself.

    A list becomes a FanOut. Anything else raises ConfigurationError.
    """
    given: object = spec  # a user may pass anything
    if isinstance(given, str):
        return _open_url(given)
    if isinstance(given, Backend):
        return _checked(given)
    if isinstance(given, (list, tuple)) and given:
        from tokenmeter.delivery.backends.fanout import FanOut  # FanOut is seldom needed

        return FanOut([open_backend(part) for part in given])
    raise ConfigurationError(
        f"backend must be a URL such as {_KNOWN}, an object with send() and close(), or a list "
        f"of these, not {type(spec).__name__} {masked(repr(spec))[:60]}."
    )


def backend_name(spec: str | Backend) -> str:
    """
    Return the name under which delivery to this backend is remembered across restarts.

    Credentials do not count, so a new key goes on where the old one stopped. A backend object
    is known by its `name` attribute if it has one, else by its class.
    """
    if isinstance(spec, str):
        scheme, _, rest = spec.partition(":")
        if scheme == "sqlite":
            rest = str(Path(rest.removeprefix("///")).absolute())
        elif scheme in FLEXPRICE:
            from tokenmeter.delivery.flexprice.account import place  # few use Flexprice

            scheme, rest = "flexprice", place(spec)  # the server; neither key nor options
        digest = hashlib.sha256(masked(rest).encode()).hexdigest()[:12]
        return _slug(f"{scheme}-{digest}" if rest else scheme)
    given = getattr(spec, "name", None)
    return _slug(given if isinstance(given, str) and given else _class_name(spec))


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:80]


def _class_name(backend: Backend) -> str:
    return f"{type(backend).__module__}-{type(backend).__qualname__}"


def _open_url(url: str) -> Backend:
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    opener = _opener(_DRIVEN.get(scheme, scheme))
    if opener is None:
        raise ConfigurationError(
            f"no backend is known for {masked(repr(url))}; {_REMEDIES.get(scheme, _REMEDY)}."
        )
    try:
        return _checked(opener(url))
    except TokenmeterError:
        raise
    except Exception as error:  # noqa: BLE001  a border: whatever a backend's own code raises
        raise ConfigurationError(
            f"the backend {masked(repr(url))} cannot be opened "
            f"({type(error).__name__}: {masked(str(error))}); correct its URL."
        ) from None


def _opener(scheme: str) -> Callable[[str], Backend] | None:
    built_in = _BUILT_IN.get(scheme)
    if built_in is not None:
        return built_in
    from importlib.metadata import entry_points  # slow to import, and only needed here

    for entry in entry_points(group=ENTRY_POINTS, name=scheme):
        loaded: Callable[[str], Backend] = entry.load()
        return loaded
    return None


def _checked(backend: object) -> Backend:
    if inspect.isclass(backend) or not isinstance(backend, Backend):
        raise ConfigurationError(
            f"{masked(repr(backend))[:60]} is no backend; pass an object that has the methods "
            "send(events) and close()."
        )
    if inspect.iscoroutinefunction(backend.send):
        raise ConfigurationError(
            f"{type(backend).__name__}.send must be a plain function, not async; "
            "it runs in a thread of its own."
        )
    return backend


# Each is imported when its scheme is used, to keep `import tokenmeter` light.
def _memory(_url: str) -> Backend:
    from tokenmeter.delivery.backends.memory import MemoryBackend

    return MemoryBackend()


def _console(_url: str) -> Backend:
    from tokenmeter.delivery.backends.console import ConsoleBackend

    return ConsoleBackend()


def _flexprice(url: str) -> Backend:
    from tokenmeter.delivery.backends.flexprice import FlexpriceBackend

    return FlexpriceBackend(url)


FLEXPRICE = ("flexprice", "flexprice+http", "flexprice+https")
_BUILT_IN: dict[str, Callable[[str], Backend]] = {
    "console": _console,
    **dict.fromkeys(FLEXPRICE, _flexprice),
    "memory": _memory,
}
