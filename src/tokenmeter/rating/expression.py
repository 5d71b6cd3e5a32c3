"""
Quantities computed from properties: the part of CEL that Flexprice's meters use.

Names are properties and all values are numbers: `+ - * /`, comparisons, `&& || !`, `a ? b : c`,
and max, min, pow, abs, ceil, floor, round, sqrt, log. It is written here because the CEL
packages for Python bring a parser generator with them and compute in floats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
)
from functools import reduce
from typing import Literal

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.rounding import ONE, ZERO, number

EXPRESSION_CHARS_MAX = 2_000
PARTS_MAX = 150  # operators, calls and parentheses
ARGUMENTS_MAX = 50

Values = Mapping[str, Decimal]
Run = Callable[[Values], Decimal]
Kind = Literal["number", "truth"]

# The range of a double with twice its digits. Infinities and NaN pass through, as they do with
# doubles, and are refused at the end.
_CONTEXT = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-324, Emax=308, traps=[])
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?(?![\w.]))"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[<>=!]=|[-+*/<>!?:(),]))",
    re.ASCII,
)
# fmt: off
_RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "in",
    "let", "loop", "namespace", "null", "package", "return", "var", "void", "while",
})
# fmt: on


class ExpressionError(RatingError):
    """The expression has no finite value for these properties; the meter skips the event."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: ``Expression.of("input * 2 + output").evaluate({"input": 3})``."""

    source: str
    names: tuple[str, ...]
    _run: Run

    @classmethod
    def of(cls, source: str) -> Expression:
        """Parse and check; a mistake raises RatingError with the place where it stands."""
        parser = _Parser(source)
        run = parser.whole()
        if not parser.names:
            raise RatingError("The expression names no property.", field="aggregation.expression")
        return cls(source, tuple(parser.names), run)

    def evaluate(self, properties: Mapping[str, object]) -> Decimal:
        """Compute the quantity; a missing property is 0, one that is not a number raises."""
        result = self._run({name: _value(name, properties) for name in self.names})
        if not result.is_finite():
            raise ExpressionError(
                f"The expression {self.source!r} has no finite value (a division by zero?)."
            )
        return _CONTEXT.plus(result)


def _value(name: str, properties: Mapping[str, object]) -> Decimal:
    value = number(properties.get(name, 0))
    if value is None:
        raise ExpressionError(f"The property {name!r} is not a number.")
    return value


@dataclass(frozen=True, slots=True)
class _Part:
    kind: Kind
    run: Run


@dataclass(frozen=True, slots=True)
class _Operator:
    binds: int
    takes: Kind | None  # None: two of the same kind
    gives: Kind
    apply: Callable[[Decimal, Decimal], Decimal]


def _truth(*, of: bool) -> Decimal:
    return ONE if of else ZERO


def _relation(*outcomes: int) -> Callable[[Decimal, Decimal], Decimal]:
    return lambda a, b: _truth(of=_CONTEXT.compare(a, b) in outcomes)


_OPERATORS = {
    "||": _Operator(1, "truth", "truth", _CONTEXT.max),
    "&&": _Operator(2, "truth", "truth", _CONTEXT.min),
    "==": _Operator(3, None, "truth", _relation(0)),
    "!=": _Operator(3, None, "truth", lambda a, b: ONE - _relation(0)(a, b)),
    "<": _Operator(3, "number", "truth", _relation(-1)),
    "<=": _Operator(3, "number", "truth", _relation(-1, 0)),
    ">": _Operator(3, "number", "truth", _relation(1)),
    ">=": _Operator(3, "number", "truth", _relation(1, 0)),
    "+": _Operator(4, "number", "number", _CONTEXT.add),
    "-": _Operator(4, "number", "number", _CONTEXT.subtract),
    "*": _Operator(5, "number", "number", _CONTEXT.multiply),
    "/": _Operator(5, "number", "number", _CONTEXT.divide),
}


def _extreme(pick: Callable[[Decimal, Decimal], Decimal]) -> Callable[..., Decimal]:
    def among(*values: Decimal) -> Decimal:
        # Decimal's max prefers a number to NaN; doubles let NaN win.
        unknown = [value for value in values if value.is_nan()]
        return unknown[0] if unknown else reduce(pick, values)

    return among


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    return _CONTEXT.power(base, exponent) if exponent else ONE


def _whole(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda value: value.to_integral_value(rounding, _CONTEXT)


# Name: the function, and how many arguments it takes at least and at most.
_FUNCTIONS: dict[str, tuple[Callable[..., Decimal], int, int]] = {
    "max": (_extreme(_CONTEXT.max), 2, ARGUMENTS_MAX),
    "min": (_extreme(_CONTEXT.min), 2, ARGUMENTS_MAX),
    "pow": (_power, 2, 2),
    "abs": (_CONTEXT.abs, 1, 1),
    "ceil": (_whole(ROUND_CEILING), 1, 1),
    "floor": (_whole(ROUND_FLOOR), 1, 1),
    "round": (_whole(ROUND_HALF_UP), 1, 1),
    "sqrt": (_CONTEXT.sqrt, 1, 1),
    "log": (_CONTEXT.ln, 1, 1),
}


class _Parser:
    """Precedence climbing over the tokens; kinds are checked while the parts are built."""

    def __init__(self, source: str) -> None:
        if len(source) > EXPRESSION_CHARS_MAX:
            raise RatingError(
                f"The expression is longer than {EXPRESSION_CHARS_MAX} characters.",
                field="aggregation.expression",
            )
        self._source = source
        self._at = 0
        self._parts = 0
        self.names: dict[str, None] = {}

    def whole(self) -> Run:
        run = self._expect("number", self._choice())
        if self._source[self._at :].strip():
            raise self._mistake("an operator or the end")
        return run

    def _choice(self) -> _Part:
        test = self._binary(self._unary(), 1)
        return self._branches(self._expect("truth", test)) if self._take("?") else test

    def _branches(self, test: Run) -> _Part:
        then = self._choice()
        self._need(":")
        otherwise = self._expect(then.kind, self._choice())
        return _Part(then.kind, lambda v: then.run(v) if test(v) else otherwise(v))

    def _binary(self, left: _Part, binds: int) -> _Part:
        while (sign := self._peek()) in _OPERATORS and _OPERATORS[sign].binds >= binds:
            self._need(sign)
            operator = _OPERATORS[sign]
            right = self._binary(self._unary(), operator.binds + 1)
            left = self._joined(operator, left, right)
        return left

    def _joined(self, operator: _Operator, left: _Part, right: _Part) -> _Part:
        kind = operator.takes or left.kind
        a, b = self._expect(kind, left), self._expect(kind, right)
        return _Part(operator.gives, lambda v: operator.apply(a(v), b(v)))

    def _unary(self) -> _Part:
        if self._take("-"):
            operand = self._expect("number", self._unary())
            return _Part("number", lambda v: _CONTEXT.minus(operand(v)))
        if self._take("!"):
            refused = self._expect("truth", self._unary())
            return _Part("truth", lambda v: ONE - refused(v))
        return self._operand()

    def _operand(self) -> _Part:
        if self._take("("):
            inner = self._choice()
            self._need(")")
            return inner
        token = _TOKEN.match(self._source, self._at)
        word = token["name"] or token["number"] if token else None
        if token is None or word is None or word in _RESERVED:
            raise self._mistake("a number, a property or a function")
        self._at = token.end()
        if token["number"]:
            literal = _CONTEXT.create_decimal(word)
            return _Part("number", lambda _: literal)
        return self._call(word) if self._peek() == "(" else self._name(word)

    def _name(self, word: str) -> _Part:
        if word in {"true", "false"}:
            constant = _truth(of=word == "true")
            return _Part("truth", lambda _: constant)
        self.names[word] = None
        return _Part("number", lambda v: v[word])

    def _call(self, name: str) -> _Part:
        if name not in _FUNCTIONS:
            raise self._mistake("one of " + ", ".join(sorted(_FUNCTIONS)))
        self._need("(")
        arguments = [self._expect("number", self._choice())]
        while self._take(","):
            arguments.append(self._expect("number", self._choice()))
        self._need(")")
        function, least, most = _FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise self._mistake(f"{least} arguments of {name}")
        return _Part("number", lambda v: function(*(a(v) for a in arguments)))

    def _expect(self, kind: Kind, part: _Part) -> Run:
        if part.kind != kind:
            raise self._mistake(f"a {kind}")
        return part.run

    def _peek(self) -> str:
        token = _TOKEN.match(self._source, self._at)
        return (token["sign"] or "") if token else ""

    def _take(self, sign: str) -> bool:
        token = _TOKEN.match(self._source, self._at)
        if token is None or token["sign"] != sign:
            return False
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise self._mistake(f"fewer than {PARTS_MAX} operators and parentheses")
        self._at = token.end()
        return True

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self._mistake(repr(sign))

    def _mistake(self, wanted: str) -> RatingError:
        return RatingError(
            f"The expression {self._source!r} needs {wanted} at character {self._at + 1}.",
            field="aggregation.expression",
        )
