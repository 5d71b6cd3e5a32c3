"""Turn the taps on and off: class methods of HTTP libraries, whenever they are imported."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tokenmeter.capture.faults import log


@dataclass(slots=True)
class Patch:
    """One method of one class, and the wrapper that goes around it."""

    module: str
    class_name: str
    method: str
    wrapper: Callable[..., Any]
    _original: Any = field(default=None, init=False)
    _wrapped: Any = field(default=None, init=False)

    def apply(self, module: ModuleType) -> None:
        """Wrap the method, unless it is wrapped already; a library without it stays as it is."""
        import wrapt  # loaded by now

        cls = getattr(module, self.class_name, None)
        found = None if cls is None else vars(cls).get(self.method)
        if found is None:
            log.warning(
                "this version of %s has no %s.%s: what it sends is not metered",
                *(self.module, self.class_name, self.method),
            )
            return
        if found is self._wrapped:
            return
        self._original = found
        self._wrapped = wrapt.FunctionWrapper(self._original, self.wrapper)
        setattr(cls, self.method, self._wrapped)

    def remove(self, module: ModuleType) -> None:
        """Put the original back; if someone wrapped us since, leave theirs in place."""
        cls = getattr(module, self.class_name, None)
        if self._wrapped is not None and vars(cls).get(self.method) is self._wrapped:
            setattr(cls, self.method, self._original)
            self._wrapped = None


class Patches:
    """
    A set of patches that several users hold on to; applied while at least one does.

    `make` is called when the first of them comes.
    """

    def __init__(self, make: Callable[[], tuple[Patch, ...]]) -> None:
        self._make = make
        self._patches: tuple[Patch, ...] = ()
        self._holders = 0
        self._hooked = False
        # Re-entrant: an import inside, or a signal handler, may bring us here again.
        self._lock = threading.RLock()

    def acquire(self) -> None:
        """Apply the patches, now or when their module is imported."""
        import wrapt  # here to keep our import light: it brings asyncio and email

        patches = self._patches or self._make()  # outside the lock: it imports
        with self._lock:
            self._patches = self._patches or patches
            self._holders += 1
            if self._holders == 1:
                for patch in self._patches:
                    module = sys.modules.get(patch.module)
                    if module is not None and hasattr(module, patch.class_name):
                        patch.apply(module)
            hook = not self._hooked
            self._hooked = True
        if hook:
            for name in {patch.module for patch in self._patches}:
                wrapt.register_post_import_hook(self._imported, name)

    def release(self) -> None:
        """Let go; the last one restores what was."""
        with self._lock:
            self._holders -= 1
            if self._holders:
                return
            for patch in self._patches:
                module = sys.modules.get(patch.module)
                if module is not None:
                    patch.remove(module)

    def _imported(self, module: ModuleType) -> None:
        with self._lock:
            if not self._holders:
                return
            for patch in self._patches:
                if patch.module == module.__name__:
                    patch.apply(module)
