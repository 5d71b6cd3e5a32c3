"""The house rules that can be counted, over all of src (STYLE.md); ruff counts complexity."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import tokenmeter

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 30  # code lines: no docstring, comments or empty lines
POSITIONAL_MAX = 5  # more: a frozen dataclass, or keywords only
UNFINISHED = ("TODO", "FIXME", "XXX", "HACK")
BROAD = {"Exception", "BaseException"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = Function | ast.ClassDef


@cache
def sources() -> dict[str, str]:
    """The files of the package, by their path from the root."""
    found = sorted((ROOT / "src").rglob("*.py"))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in sources().items()}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for name, tree in trees().items():
        for node in ast.walk(tree):
            yield name, node


def functions() -> Iterator[tuple[str, Function]]:
    for name, node in nodes():
        if isinstance(node, Function):
            yield name, node


def documented(node: ast.AST) -> ast.Expr | None:
    """The docstring of a function or class."""
    first = node.body[0] if isinstance(node, Named) else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first if isinstance(first, ast.Expr) and is_text else None


def code_lines(function: Function) -> int:
    found: set[int] = set()
    skipped = documented(function)
    for node in ast.walk(function):
        if isinstance(node, ast.stmt | ast.expr | ast.arg) and node is not skipped:
            found |= {node.lineno}
    if skipped is not None:
        found -= set(range(skipped.lineno, (skipped.end_lineno or skipped.lineno) + 1))
    return len(found)


def positional(function: Function) -> int:
    given = [*function.args.posonlyargs, *function.args.args]
    return sum(argument.arg not in {"self", "cls"} for argument in given)


def says_nothing(handler: ast.ExceptHandler) -> bool:
    """Whether a broad handler has no statement that does something."""
    name = handler.type.id if isinstance(handler.type, ast.Name) else None
    idle = (ast.Pass, ast.Continue, ast.Break)
    broad = handler.type is None or name in BROAD
    return broad and all(isinstance(s, idle) or is_constant(s) for s in handler.body)


def is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def public(body: list[ast.stmt]) -> Iterator[Named]:
    """The public functions and classes of a module or class, and what is public in these."""
    for node in body:
        if isinstance(node, Named) and not node.name.startswith("_") and not is_overload(node):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def is_overload(node: Named) -> bool:
    names = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
    return "overload" in names


def test_a_file_can_be_understood_in_a_minute() -> None:
    counted = {name: text.count("\n") for name, text in sources().items()}
    assert {name: lines for name, lines in counted.items() if lines > FILE_LINES_MAX} == {}


def test_a_function_fits_on_a_screen() -> None:
    long = [
        f"{name}:{function.lineno} {function.name}: {code_lines(function)} code lines"
        for name, function in functions()
        if code_lines(function) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_a_call_says_what_its_arguments_mean() -> None:
    many = [
        f"{name}:{function.lineno} {function.name}: {positional(function)} positional parameters"
        for name, function in functions()
        if positional(function) > POSITIONAL_MAX
    ]
    assert many == []


def test_no_broad_except_is_silent() -> None:
    silent = [
        f"{name}:{node.lineno}"
        for name, node in nodes()
        if isinstance(node, ast.ExceptHandler) and says_nothing(node)
    ]
    assert silent == []


def test_nothing_is_left_for_later() -> None:
    unfinished = [
        f"{name}:{number}: {line.strip()}"
        for name, text in sources().items()
        for number, line in enumerate(text.splitlines(), 1)
        if any(word in line for word in UNFINISHED)
    ]
    unfinished += [
        f"{name}:{node.lineno}: NotImplementedError"
        for name, node in nodes()
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)
    ]
    assert unfinished == []


def test_what_is_public_says_what_it_does_for_the_caller() -> None:
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees().items()
        for node in public(tree.body)
        if documented(node) is None
    ]
    assert silent == []


def test_the_public_names_are_sorted() -> None:
    names: list[str] = tokenmeter.__all__
    assert names == sorted(names)
    assert all(hasattr(tokenmeter, name) for name in names)
