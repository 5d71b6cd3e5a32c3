"""
Values of the hot path: frozen for the type checkers, as cheap to make as any object.

The `__init__` of a frozen dataclass sets each field by a function call, which takes six times as
long as an assignment. Nothing assigns to the fields of a value: the checkers refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen, slots):
        """Stand for `dataclass(frozen=True, slots=True)`."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
