"""
What the hosted tools of the Responses API used, of which `usage` tells nothing.

Searches of the web are counted by the provider (`tool_usage`), those of files and runs of code by
the items of the output. Code runs in a container that is billed by its minutes, which no answer
tells: an event names it (`container_id`), so that containers can be counted, each once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tokenmeter.providers.base import Api, Json, Part, Reading, mapping, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.openai_images import svg_parts
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_usage import walked
from tokenmeter.providers.openai_wire import Dialect, answer
from tokenmeter.usage import Usage

# The documented default of the image tool (2026-11): for answers that do not repeat the tool.
IMAGE_TOOL_MODEL = "gpt-image-2.6-sunburst"
_IMAGE = "image_generation_call"
_COUNTED = {
    "file_search_call": "file_search_count",
    "code_interpreter_call": "code_execution_count",
    "shell_call": "code_execution_count",  # unless it runs at the user's
}
# An output with one of these is read item by item.
ITEMS = frozenset({*_COUNTED, _IMAGE})
NEEDLES = tuple(f'"{kind}"'.encode() for kind in _COUNTED)
_NOT_RUN = frozenset({"failed", "in_progress", "searching"})
_CONTAINER = "container:"  # keys of `raw`: one per container that was used
_TOOL = "tool:"  # keys of `raw`, with a metric: one per item of the output


def with_tools(reading: Reading, body: Json) -> Reading:
    """
    Add what hosted tools used.

    Billable searches are `web_search.num_requests`; the search calls in the output are more.
    Images are counted on the answer that delivers them, whether the tool's tokens, a part of
    their own, are told or not: so each counts once, and always in the same place.
    """
    tools = mapping(body.get("tool_usage"))
    items = [*objects(body.get("output"))]
    if not tools and not items:
        return reading
    searches, generated = walked(tools.get("web_search")), walked(tools.get("image_gen"))
    made = [item for item in _of_kind(items, _IMAGE) if isinstance(item.get("result"), str)]
    flags = reading.flags | searches.flags | generated.flags
    usage = reading.usage | searches.numbers
    if made:
        usage = usage | {"image_count": len(made)}
    parts: tuple[Part, ...] = ()
    if any(generated.numbers.values()):
        parts = (_image_part(body, made, Usage(generated.numbers)),)
    elif made:
        flags |= {"missing:tool_usage"}
    marked = replace(reading, raw={**reading.raw, **_marks(items)}, flags=flags, usage=usage)
    dimensions = {**reading.dimensions, **_memory(body, marked.raw)}
    if searches.numbers.get("web_search_count") and _is_preview(body):
        dimensions["web_search"] = "preview"
    return replace(marked, dimensions=dimensions, parts=(*parts, *svg_parts(*made)))


def read_item(item: Json) -> Reading:
    """Read one item of the output, as a stream tells it: it counts also if no end is seen."""
    return Reading(raw=_marks([item]))


def _marks(items: list[Json]) -> dict[str, Any]:
    """Name what must count once, though a stream tells it by itself and again at its end."""
    marks: dict[str, Any] = {}
    for place, item in enumerate(items):
        metric, container = _COUNTED.get(str(item.get("type"))), _container(item)
        at_users = item.get("type") == "shell_call" and container is None
        if metric is None or at_users or item.get("status") in _NOT_RUN:
            continue
        marks[f"{_TOOL}{text(item.get('id')) or place}"] = metric
        if container is not None:
            marks[f"{_CONTAINER}{container}"] = True
    return marks


def _container(item: Json) -> str | None:
    return text(item.get("container_id")) or text(
        mapping(item.get("environment")).get("container_id")
    )


def searched(tool_usage: object) -> bool:
    """Say whether the web was searched: then the tool decides what that costs."""
    return bool(mapping(mapping(tool_usage).get("web_search")).get("num_requests"))


def _is_preview(body: Json) -> bool:
    """Whether the first of OpenAI's two tools searched the web, which has prices of its own."""
    kinds = (text(tool.get("type")) or "" for tool in objects(body.get("tools")))
    return any(kind.startswith("web_search_preview") for kind in kinds)


def _memory(body: Json, marks: Mapping[str, Any]) -> dict[str, str]:
    """Return the size of the container that was used, by which it is billed, if it is told."""
    if not any(key.startswith(_CONTAINER) for key in marks):
        return {}
    made = (tool.get("container", tool.get("environment")) for tool in objects(body.get("tools")))
    sizes = {size for how in made if (size := text(mapping(how).get("memory_limit")))}
    return {"memory_limit": sizes.pop()} if len(sizes) == 1 else {}


def counted(reading: Reading) -> tuple[Usage, dict[str, str]]:
    """Return what the items of a folded reading add to its usage and its dimensions."""
    found: dict[str, int] = {}
    for key, metric in reading.raw.items():
        if key.startswith(_TOOL):
            found[metric] = found.get(metric, 0) + 1
    used = sorted(k.removeprefix(_CONTAINER) for k in reading.raw if k.startswith(_CONTAINER))
    return Usage(found) | reading.usage, {"container_id": ",".join(used)} if used else {}


def _image_part(body: Json, made: list[Json], usage: Usage) -> Part:
    tool = next(_of_kind([*objects(body.get("tools"))], "image_generation"), {})
    first = next(iter(made), {})
    dimensions = {
        name: value
        for name in ("size", "quality")
        if (value := text(first.get(name)) or text(tool.get(name)))
    }
    usage = usage | {"output_count": len(made)}
    output = usage.output_tokens
    if output is not None and usage.output_image_tokens is None:
        usage = usage | {"output_image_tokens": output}
    model = text(tool.get("model")) or IMAGE_TOOL_MODEL
    return Part("image_gen", usage, model, "image_generated", dimensions)


def _of_kind(items: list[Json], kind: str) -> Iterator[Json]:
    return (item for item in items if item.get("type") == kind)


def container_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of containers that are made by themselves, for tools to run in."""
    settle = partial(settle_text, dialect)
    return Api(operation, "api_calls", _read_container, settle, owns_ids=True)


def _read_container(payload: Json) -> Reading:
    reading = answer(payload, None, "success")
    name, memory = text(payload.get("id")), text(payload.get("memory_limit"))
    if name is None:
        return reading
    told = {"container_id": name, "memory_limit": memory or "1g"}
    return replace(reading, usage=Usage(container_count=1), dimensions=told)
