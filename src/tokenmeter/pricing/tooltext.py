"""How families show a model the tools of a request: as types, as JSON, or as bare words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tokenmeter.pricing.prompt import DEPTH_MAX, compact, schema_of
from tokenmeter.providers.base import Json, mapping

Shown = Callable[[list[Json]], list[str]]  # the texts whose tokens count


def as_json(tools: list[Json]) -> list[str]:
    """As the request has them."""
    return [compact(tools)]


def as_types(tools: list[Json]) -> list[str]:
    """OpenAI: the types of a namespace, with descriptions as comments."""
    lines = ["namespace functions {", ""]
    for tool in tools:
        if tool.get("description"):
            lines.append(f"// {tool['description']}")
        fields = schema_of(tool)
        if fields.get("properties"):
            lines += [f"type {tool.get('name')} = (_: {{", _fields(fields, 0), "}) => any;", ""]
        else:
            lines += [f"type {tool.get('name')} = () => any;", ""]
    return ["\n".join([*lines, "} // namespace functions"])]


def as_words(tools: list[Json]) -> list[str]:
    """Vertex: names and descriptions; the structure between them costs nothing."""
    return [word for tool in tools for word in (*_named(tool), *_words(schema_of(tool), 0))]


def _named(tool: Json) -> Iterator[str]:
    yield from (str(tool[key]) for key in ("name", "description") if tool.get(key))


def _words(schema: Json, depth: int) -> Iterator[str]:
    if depth >= DEPTH_MAX:
        return
    for name, value in mapping(schema.get("properties")).items():
        fact = mapping(value)
        yield name
        if fact.get("description"):
            yield str(fact["description"])
        choices = fact.get("enum")
        yield from (str(choice) for choice in (choices if isinstance(choices, list) else ()))
        yield from _words(fact, depth + 1)
        yield from _words(mapping(fact.get("items")), depth + 1)


def _fields(schema: Json, depth: int) -> str:
    required = schema.get("required")
    lines: list[str] = []
    for name, value in mapping(schema.get("properties")).items():
        fact = mapping(value)
        if fact.get("description"):
            lines.append(f"// {fact['description']}")
        must = isinstance(required, list) and name in required
        lines.append(f"{name}{'' if must else '?'}: {_type(fact, depth)},")
    return "\n".join(lines)


def _type(schema: Json, depth: int) -> str:
    if depth >= DEPTH_MAX:
        return "any"
    if isinstance(schema.get("enum"), list):
        return " | ".join(compact(value) for value in schema["enum"])
    several = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(several, list):
        return " | ".join(_type(mapping(one), depth + 1) for one in several)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}, depth + 1) for one in kind)
    name = str(kind).lower()
    write = _COMPOUND.get(name)
    return _PLAIN.get(name, "any") if write is None else write(schema, depth)


def _array(schema: Json, depth: int) -> str:
    return f"{_type(mapping(schema.get('items')), depth + 1)}[]"


def _object(schema: Json, depth: int) -> str:
    return f"{{\n{_fields(schema, depth + 1)}\n}}"


_COMPOUND: Mapping[str, Callable[[Json, int], str]] = {"array": _array, "object": _object}
_PLAIN = {
    **{name: name for name in ("string", "boolean", "null", "number")},
    "integer": "number",
}
