"""
Quantities computed from properties: the part of CEL that Flexprice's meters use.

Names are properties, all values are numbers: `+ - * /`, comparisons, `&& || !`, `a ? b : c` and
max, min, pow, abs, ceil, floor, round, sqrt, log. Written here because the CEL packages for
Python bring a parser generator and more, and compute in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
)

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.parse import Binary, Call, Choice, Name, Node, Number, Unary, parse
from tokenmeter.rating.rounding import ONE, ZERO, number

# The range of a double with twice its digits; infinities and NaN pass through and are refused
# at the end, as with doubles.
_CONTEXT = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-324, Emax=308, traps=[])


class ExpressionError(RatingError):
    """The expression has no finite value for these properties; the meter skips the event."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: `Expression("input * 2 + output").evaluate({"input": 3})`."""

    source: str
    _root: Node
    names: tuple[str, ...]

    @classmethod
    def of(cls, source: str) -> Expression:
        """Parse and check an expression; what is wrong with it raises RatingError."""
        root = parse(source)
        names = tuple(dict.fromkeys(_names(root)))
        if not names:
            raise RatingError("The expression names no property.", field="aggregation.expression")
        return cls(source, root, names)

    def evaluate(self, properties: Mapping[str, object]) -> Decimal:
        """Compute the quantity; a missing property is 0, one that is not a number raises."""
        values = {name: _value(name, properties) for name in self.names}
        result = _number(self._root, values)
        if not result.is_finite():
            raise ExpressionError(
                f"The expression {self.source!r} has no finite value (a division by zero?)."
            )
        return _CONTEXT.add(result, ZERO)


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, Name):
        yield node.name
    for child in node.children():
        yield from _names(child)


def _value(name: str, properties: Mapping[str, object]) -> Decimal:
    if name not in properties:
        return ZERO
    value = number(properties[name])
    if value is None:
        raise ExpressionError(f"The property {name!r} is not a number.")
    return value


Values = Mapping[str, Decimal]


def _number(node: Node, values: Values) -> Decimal:
    match node:
        case Number(value):
            return value
        case Name(name):
            return values[name]
        case Unary(operand=operand):
            return _CONTEXT.minus(_number(operand, values))
        case Choice(test, then, otherwise):
            return _number(then if _truth(test, values) else otherwise, values)
        case Call(name, arguments):
            return _FUNCTIONS[name]([_number(a, values) for a in arguments])
        case Binary(operator, left, right):
            return _ARITHMETIC[operator](_number(left, values), _number(right, values))


def _truth(node: Node, values: Values) -> bool:
    match node:
        case Unary(operand=operand):
            return not _truth(operand, values)
        case Binary("&&", left, right):
            return _truth(left, values) and _truth(right, values)
        case Binary("||", left, right):
            return _truth(left, values) or _truth(right, values)
        case Choice(test, then, otherwise):
            return _truth(then if _truth(test, values) else otherwise, values)
        case Binary(operator, left, right) if left.is_truth:
            return (_truth(left, values) == _truth(right, values)) == (operator == "==")
        case Binary(operator, left, right):
            return _compared(operator, _number(left, values), _number(right, values))
        case _:
            return node == parse("true")
