"""
Provider plug-ins: adapters of installed packages, found by entry point.

A package names its adapter in its pyproject.toml::

    [project.entry-points."tokenmeter.providers"]
    acme = "tokenmeter_acme:ADAPTER"
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from tokenmeter.providers import Adapter, register

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

log = logging.getLogger("tokenmeter")

ENTRY_POINTS = "tokenmeter.providers"


@cache
def load_plugins() -> None:
    """
    Register the adapters of all installed packages, once per process.

    What cannot be used is logged and left out. Our own adapters are asked first.
    """
    from importlib.metadata import entry_points  # slow to import, and only needed here

    for entry in entry_points(group=ENTRY_POINTS):
        adapter = _loaded(entry)
        if adapter is not None:
            register(adapter)


def hosts_of(hosts: Mapping[str, str] | None) -> Mapping[str, str]:
    """Load the plug-ins; return the hosts by which adapters know those that the user names."""
    load_plugins()
    if not hosts:
        return {}
    from tokenmeter.providers.hosts import named_hosts  # asks all adapters

    return named_hosts(hosts)


def _loaded(entry: EntryPoint) -> Adapter | None:
    try:
        adapter = entry.load()
    except Exception:  # foreign code may raise anything; one plug-in must not stop the others
        log.exception("tokenmeter leaves out the provider plug-in %s: it is broken", _of(entry))
        return None
    if isinstance(adapter, Adapter):
        return adapter
    log.error(
        "tokenmeter leaves out the provider plug-in %s: it names a %s, and must name a "
        "tokenmeter.providers.Adapter",
        _of(entry),
        type(adapter).__name__,
    )
    return None


def _of(entry: EntryPoint) -> str:
    package = "" if entry.dist is None else f" of {entry.dist.name}"
    return f"{entry.name} ({entry.value}){package}"
