"""What the SQL dialects write differently: each here once, and nowhere else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class PropertyText(FunctionElement[Any]):
    """
    One property of the JSON text as text: ``PropertyText(events.c.properties, name)``.

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


@compiles(PropertyText, "sqlite")
def _sqlite_property_text(element: PropertyText, compiler: Any, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(json_extract({column}, '$.\"' || {key} || '\"') AS TEXT)"


@compiles(ExactTotal, "sqlite")
def _sqlite_exact_total(element: ExactTotal, compiler: Any, **options: Any) -> str:
    return f"exact_sum({compiler.process(element.clauses, **options)})"


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
