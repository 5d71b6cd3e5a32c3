"""What `@metered` makes of a function: like the function, it can be pickled and copied."""

from __future__ import annotations

import copy
import importlib
from operator import attrgetter
from typing import Any

import wrapt


class _Bound(wrapt.BoundFunctionWrapper[Any, Any]):
    """A decorated method, or a function that was reached by its class."""

    def __reduce_ex__(self, _protocol: Any) -> Any:
        owner = getattr(self, "__self__", None)
        if owner is None:
            return _named, (self.__module__, self.__qualname__)
        return getattr, (owner, self.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        owner = getattr(self, "__self__", None)
        return self if owner is None else getattr(copy.deepcopy(owner, memo), self.__name__)


class Decorated(wrapt.FunctionWrapper[Any, Any]):
    """A decorated function; as any function, it is pickled by its name and copied as itself."""

    __bound_function_wrapper__ = _Bound

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return self.__qualname__

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, _memo: Any) -> Any:
        return self


def _named(module: str, name: str) -> object:
    """Find again what was pickled by its name."""
    return attrgetter(name)(importlib.import_module(module))
