"""What the SQL dialects write differently: each here once, and nowhere else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, TableValuedAlias, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tokenmeter.engine.store.exact import EXPONENT_MAX, NUMBER_TEXT_MAX

_SMALL_MAX = 2**31  # fewer than 2**32 of these fit an integer of SQLite's


class PropertyText(FunctionElement[Any]):
    """
    One property of the JSON text as text: ``PropertyText(events.c.rest, name)``.

    The name is a bound parameter. It must hold no double quote (see `query.dimension_name`).
    """

    name = "property_text"
    type = Text()
    inherit_cache = True


class ExactTotal(FunctionElement[Any]):
    """The exact sum of numbers written as text, as text; NULL if there is none."""

    name = "exact_total"
    type = Text()
    inherit_cache = True


class MembersTotal(FunctionElement[Any]):
    """
    As `ExactTotal`, of the values of `Members`, which SQLite knows the numbers among.

    It adds the small ones up itself; only what it might round comes to Python.
    """

    name = "members_total"
    type = Text()
    inherit_cache = True


class ExactLargest(FunctionElement[Any]):
    """The largest of numbers written as text, as text; NULL if there is none."""

    name = "exact_largest"
    type = Text()
    inherit_cache = True


class MonthStart(FunctionElement[Any]):
    """The first microsecond of the UTC month that an instant (microseconds) falls in."""

    name = "month_start"
    type = BigInteger()
    inherit_cache = True


class HexText(FunctionElement[Any]):
    """Bytes as hexadecimal text, to be joined with other text."""

    name = "hex_text"
    type = Text()
    inherit_cache = True


class AtLeastZero(FunctionElement[Any]):
    """The number that a text writes, or "0" if it is negative; any other text as it is."""

    name = "at_least_zero"
    type = Text()
    inherit_cache = True


class Members(FunctionElement[Any]):
    """The names and values of a JSON text, as rows of text: ``Members(column)``."""

    name = "members"
    inherit_cache = True


def members(column: ColumnElement[Any]) -> TableValuedAlias:
    """Return the members of a JSON text as a table of `key` and `value`."""
    return Members(column).table_valued("key", "value", name="entry")


@compiles(PropertyText, "sqlite")
def _sqlite_property_text(element: PropertyText, compiler: Any, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(json_extract({column}, '$.\"' || {key} || '\"') AS TEXT)"


@compiles(ExactTotal, "sqlite")
def _sqlite_exact_total(element: ExactTotal, compiler: Any, **options: Any) -> str:
    return f"exact_sum({compiler.process(element.clauses, **options)})"


@compiles(MembersTotal, "sqlite")
def _sqlite_members_total(element: MembersTotal, compiler: Any, **options: Any) -> str:
    value = compiler.process(element.clauses, **options)
    small = f"typeof({value}) = 'integer' AND {value} BETWEEN -{_SMALL_MAX} AND {_SMALL_MAX}"
    return (
        f"exact_plus(sum({value}) FILTER (WHERE {small}), "
        f"exact_sum({value}) FILTER (WHERE NOT ({small})))"
    )


@compiles(ExactLargest, "sqlite")
def _sqlite_exact_largest(element: ExactLargest, compiler: Any, **options: Any) -> str:
    return f"exact_max({compiler.process(element.clauses, **options)})"


@compiles(MonthStart, "sqlite")
def _sqlite_month_start(element: MonthStart, compiler: Any, **options: Any) -> str:
    instant = compiler.process(element.clauses, **options)
    return (
        f"CAST(strftime('%s', {instant} / 1000000, 'unixepoch', 'start of month') AS INTEGER)"
        " * 1000000"
    )


@compiles(HexText, "sqlite")
def _sqlite_hex_text(element: HexText, compiler: Any, **options: Any) -> str:
    value = compiler.process(element.clauses, **options)
    return f"CASE WHEN {value} IS NOT NULL THEN hex({value}) END"  # hex(NULL) would be ''


@compiles(AtLeastZero, "sqlite")
def _sqlite_at_least_zero(element: AtLeastZero, compiler: Any, **options: Any) -> str:
    value = compiler.process(element.clauses, **options)
    # The sign survives the cast to a float.
    return f"CASE WHEN CAST({value} AS REAL) < 0 THEN '0' ELSE {value} END"


@compiles(Members, "sqlite")
def _sqlite_members(element: Members, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(PropertyText, "postgresql")
def _postgres_property_text(element: PropertyText, compiler: Any, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(({column})::json ->> ({key})::text)"


@compiles(MembersTotal, "postgresql")
@compiles(ExactTotal, "postgresql")
def _postgres_exact_total(element: FunctionElement[Any], compiler: Any, **options: Any) -> str:
    return f"CAST(sum({_numeric(element, compiler, options)}) AS text)"


@compiles(ExactLargest, "postgresql")
def _postgres_exact_largest(element: ExactLargest, compiler: Any, **options: Any) -> str:
    return f"CAST(max({_numeric(element, compiler, options)}) AS text)"


@compiles(AtLeastZero, "postgresql")
def _postgres_at_least_zero(element: AtLeastZero, compiler: Any, **options: Any) -> str:
    value = compiler.process(element.clauses, **options)
    return f"CASE WHEN {_numeric(element, compiler, options)} < 0 THEN '0' ELSE {value} END"


@compiles(HexText, "postgresql")
def _postgres_hex_text(element: HexText, compiler: Any, **options: Any) -> str:
    return f"encode({compiler.process(element.clauses, **options)}, 'hex')"


@compiles(Members, "postgresql")
def _postgres_members(element: Members, compiler: Any, **options: Any) -> str:
    return f"json_each_text(({compiler.process(element.clauses, **options)})::json)"


@compiles(MonthStart, "postgresql")
def _postgres_month_start(element: MonthStart, compiler: Any, **options: Any) -> str:
    instant = compiler.process(element.clauses, **options)
    moment = f"(timestamp 'epoch' + ({instant} / 1000000) * interval '1 second')"
    return f"(extract(epoch FROM date_trunc('month', {moment}))::bigint * 1000000)"


def _numeric(element: FunctionElement[Any], compiler: Any, options: dict[str, Any]) -> str:
    """The number that a text writes, NULL where it writes none: as `exact.number` has it."""
    value = f"({compiler.process(element.clauses, **options)})"
    number = (
        f"CASE WHEN length({value}) <= {NUMBER_TEXT_MAX} AND {value} ~ '{_NUMBER}' "
        f"THEN {value}::numeric END"
    )
    least, most = f"1e-{EXPONENT_MAX}::numeric", f"1e{EXPONENT_MAX + 1}::numeric"
    sane = f"({number}) = 0 OR (abs({number}) >= {least} AND abs({number}) < {most})"
    return f"CASE WHEN {sane} THEN {number} END"


_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
