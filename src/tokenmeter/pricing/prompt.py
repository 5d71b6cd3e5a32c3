"""What a request puts before the model: its texts, messages, tools and pictures, in any format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenmeter.pricing.documents import file_of, is_packed, pdf_pages, texts_of
from tokenmeter.pricing.kept import kept_elsewhere
from tokenmeter.providers.base import Json, mapping

DEPTH_MAX = 32  # of nesting that is looked at

# Where the formats keep what the model reads.
_FIELDS = frozenset(
    {
        *("messages", "input", "prompt", "instructions", "system", "contents", "texts"),
        *("systemInstruction", "system_instruction", "instances", "inputs", "requests", "content"),
    }
)
_SYSTEMS = frozenset({"instructions", "system", "systemInstruction", "system_instruction"})
_MESSAGES = frozenset({"messages", "contents", "input"})
# Keys of an object that the model does not read as text.
_SILENT = frozenset(
    {
        *("type", "id", "call_id", "tool_call_id", "tool_use_id", "signature", "thoughtSignature"),
        *("cache_control", "role", "status", "encrypted_content", "name", "detail", "index"),
        *("is_error", "taskType", "task_type", "embedding_types", "source", "thought_signature"),
    }
)
_IMAGES = frozenset({"image_url", "image", "input_image"})
_FILES = frozenset(
    {
        *("input_audio", "audio", "file", "document", "input_file", "fileData", "file_data"),
        *("video", "video_url", "container_upload"),
    }
)
_READ = frozenset({"document", "search_result"})  # files, unless the request carries their text
_SIGNED = ("thoughtSignature", "thought_signature")
_BLOBS = frozenset({"inlineData", "inline_data"})
_GIVEN = frozenset({"arguments", "args", "input"})  # what a tool was called with
# Where the formats keep what stands beside the messages.
_BESIDE = frozenset(
    {
        *("tools", "functions", "thinking", "response_format", "text"),
        *("generationConfig", "generation_config", "output_config"),
    }
)
_SERVED = ("web_search", "web_fetch", "code_execution", "code_interpreter", "computer", "mcp")


class Prompt:
    """The parts of one request, as far as tokens depend on them."""

    __slots__ = (
        *("texts", "tokens", "roles", "names", "images", "files", "tools", "served"),
        *("schema", "thinks", "pages", "thoughts", "cites"),
    )

    def __init__(self, files: list[str]) -> None:
        self.texts: list[str] = []
        self.tokens = 0  # that the request has as numbers, as embeddings may
        self.roles: list[str] = []  # one for each message
        self.names = 0
        self.images: list[Json] = []
        self.files = files  # the kind of each that no local rule counts
        self.tools: list[Json] = []  # with a schema of the user's
        self.served: set[str] = set()  # tools that the provider runs
        self.schema: Json | None = None  # of the answer
        self.thinks = False  # extended thinking is switched on
        self.pages = 0  # of documents that the request carries
        self.thoughts = 0  # bytes of thoughts of earlier turns, encrypted
        self.cites = False  # documents are to be cited

    @property
    def is_text(self) -> bool:
        """Say whether there is nothing but text."""
        media = self.images or self.files or self.pages or self.thoughts or self.cites
        return not (media or self.tools or self.served or self.schema is not None)


def read_prompt(body: Json) -> Prompt | None:
    """Read a request's body; None if it holds no prompt that we know."""
    found = [name for name in body if name in _FIELDS and body[name]]
    if not (kept := kept_elsewhere(body)) and not found:
        return None
    prompt = Prompt(kept)
    for name in found:
        if name in _MESSAGES:
            _read_messages(body[name], prompt)
        else:
            _read(body[name], prompt, 0)
    if not _SYSTEMS.isdisjoint(found):
        prompt.roles.append("system")
    if not _BESIDE.isdisjoint(body):
        _read_beside(body, prompt)
    return prompt


def _read_beside(body: Json, prompt: Prompt) -> None:
    """Read what the model is shown beside its messages, and how it is to answer."""
    read_tools(body, prompt)
    prompt.thinks = mapping(body.get("thinking")).get("type") == "enabled"
    prompt.schema = _schema(body)


def _read_messages(value: Any, prompt: Prompt) -> None:
    """Read a list of messages; a text alone is one of the user's."""
    if isinstance(value, str):
        _add_text(value, prompt)
        prompt.roles.append("user")
        return
    if _is_tokens(value):
        prompt.tokens += len(value)
        return
    for item in value if isinstance(value, list) else (value,):
        if not isinstance(item, dict):
            _read(item, prompt, 1)
        elif not _read_plain(item, prompt):
            _read_head(item, prompt)
            _read_object(item, prompt, 1)


def _read(value: Any, prompt: Prompt, depth: int) -> None:
    if isinstance(value, str):
        _add_text(value, prompt)
    elif depth >= DEPTH_MAX:
        return
    elif depth <= 1 and _is_tokens(value):
        prompt.tokens += len(value)
    elif isinstance(value, list):
        for item in value:
            _read(item, prompt, depth + 1)
    elif isinstance(value, dict):
        _read_object(value, prompt, depth)


def _is_tokens(value: Any) -> bool:
    listed = isinstance(value, list) and len(value) > 0 and type(value[0]) is int
    return listed and all(type(item) is int for item in value)


def _read_object(item: Json, prompt: Prompt, depth: int) -> None:
    named = item.get("type")
    kind = named if isinstance(named, str) else ""
    _read_thoughts(item, kind, prompt)
    if not _read_part(item, kind, prompt):
        for name, inner in item.items():
            if name not in _SILENT:
                _read(inner, prompt, depth + 1)


def _read_part(item: Json, kind: str, prompt: Prompt) -> bool:
    """Read a picture, a document, a file or a call of a tool; say whether it is one."""
    if kind in _IMAGES or not _BLOBS.isdisjoint(item):
        _add_media(item, prompt)
    elif kind in _READ:
        _add_document(item, kind, prompt)
    elif kind in _FILES or not _FILES.isdisjoint(item):
        prompt.files.append(kind or next(iter(_FILES & item.keys())))
    elif "name" in item and not _GIVEN.isdisjoint(item):
        _add_call(item, prompt)
    else:
        return False
    return True


def _read_thoughts(item: Json, kind: str, prompt: Prompt) -> None:
    """Note thoughts of earlier turns: encrypted, and read again by the provider."""
    signed = next((item[name] for name in _SIGNED if name in item), None)
    if isinstance(signed, str):
        prompt.thoughts += -(-len(signed) * 3 // 4)
    elif "encrypted_content" in item or kind == "redacted_thinking":
        prompt.files = [*(f for f in prompt.files if f != "thoughts"), "thoughts"]  # all are one


def _add_document(item: Json, kind: str, prompt: Prompt) -> None:
    """Read a document's text, or count its pages; else it is a file."""
    prompt.cites = prompt.cites or mapping(item.get("citations")).get("enabled") is True
    texts = texts_of(item)
    pages = None if texts else pdf_pages(file_of(item))
    if texts:
        prompt.texts += texts
    elif pages:
        prompt.pages += pages
    else:
        prompt.files.append(kind)


def _read_plain(item: Json, prompt: Prompt) -> bool:
    """Read a message that is a role and a text, as most are; say whether it is one."""
    role, content = item.get("role"), item.get("content")
    if len(item) != 2 or not isinstance(role, str) or not isinstance(content, str):
        return False
    prompt.roles.append(role)
    _add_text(content, prompt)
    return True


def _read_head(item: Json, prompt: Prompt) -> None:
    role, name = item.get("role"), item.get("name")
    if role is not None or "content" in item or "parts" in item:
        prompt.roles.append(role if isinstance(role, str) else "user")
    if isinstance(name, str) and "arguments" not in item:
        prompt.names += 1
        prompt.texts.append(name)


def _add_text(value: str, prompt: Prompt) -> None:
    if is_packed(value) or value.startswith("data:"):
        prompt.files.append("attachment")
    else:
        prompt.texts.append(value)


def _add_media(item: Json, prompt: Prompt) -> None:
    blob = mapping(item.get("inlineData") or item.get("inline_data"))
    kind = str(blob.get("mimeType") or blob.get("mime_type") or "image/")
    pages = pdf_pages(blob.get("data")) if kind == "application/pdf" else None
    if kind.startswith("image/"):
        prompt.images.append(item)
    elif pages:
        prompt.pages += pages
    else:
        prompt.files.append(kind.partition("/")[0])


def _add_call(item: Json, prompt: Prompt) -> None:
    """A call that the model made before: its name, and its arguments as they were written."""
    given = next(item[key] for key in ("arguments", "args", "input") if key in item)
    prompt.texts += (str(item["name"]), given if isinstance(given, str) else compact(given))


def read_tools(body: Json, prompt: Prompt) -> None:
    """Read the tools of a request: the user's own, and those that the provider runs."""
    for tool in _each(body.get("tools"), body.get("functions")):
        declared = tool.get("functionDeclarations", tool.get("function_declarations"))
        own = mapping(tool.get("function") or tool.get("custom")) or tool
        functions = list(_each(declared)) if declared else [own]
        for function in functions:
            if "name" in function and _is_ours(function):
                prompt.tools.append(function)
            else:
                prompt.served.add(_served_name(function))


def cached_for(body: Json) -> str | None:
    """Return how long a request asks to keep its prompt: ``5m``, ``1h``; None if it does not."""
    blocks = [body, *_each(body.get("system"), body.get("tools"))]
    for message in _each(body.get("messages")):
        blocks += message, *_each(message.get("content"))
    asked = [mapping(block["cache_control"]) for block in blocks if "cache_control" in block]
    if not asked:
        return None
    return "1h" if any(control.get("ttl") == "1h" for control in asked) else "5m"


def _is_ours(function: Json) -> bool:
    schema = ("parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema")
    kind = str(function.get("type") or "function")
    return any(name in function for name in schema) or (
        kind in {"function", "custom"} and not any(word in kind for word in _SERVED)
    )


def _served_name(function: Json) -> str:
    return str(function.get("type") or next(iter(function), "tool"))


def _schema(body: Json) -> Json | None:
    """Return the JSON schema that the answer must follow, wherever the format keeps it."""
    asked = mapping(body.get("response_format"))
    if asked.get("type") == "json_schema":
        return mapping(asked.get("json_schema")) or asked
    wanted = mapping(mapping(body.get("text")).get("format"))
    if wanted.get("type") == "json_schema":
        return wanted
    config = mapping(body.get("generationConfig") or body.get("generation_config"))
    schema = config.get("responseSchema") or config.get("responseJsonSchema")
    return mapping(schema) or mapping(mapping(body.get("output_config")).get("format")) or None


def schema_of(function: Json) -> Json:
    """Return the parameters of a tool, whatever the format calls them."""
    names = ("parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema")
    return next((mapping(function[name]) for name in names if name in function), {})


def _each(*lists: object) -> Iterator[Json]:
    for items in lists:
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                yield item


def compact(value: object) -> str:
    """Write JSON as models are shown it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
